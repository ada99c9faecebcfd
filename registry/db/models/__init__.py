"""Every table of the core.

Importing this package registers all of them on :class:`registry.db.base.Base`.
"""

from __future__ import annotations

from registry.db.models.content import Blob, RepositoryBlob, StorageDeletion, Upload, UploadPart
from registry.db.models.legacy import LegacyImageRow, ManifestLegacyImage
from registry.db.models.manifests import Label, Manifest, ManifestBlob, ManifestChild
from registry.db.models.repositories import Namespace, Repository, SigningKey, Tag

__all__ = [
    "Blob",
    "Label",
    "LegacyImageRow",
    "Manifest",
    "ManifestBlob",
    "ManifestChild",
    "ManifestLegacyImage",
    "Namespace",
    "Repository",
    "RepositoryBlob",
    "SigningKey",
    "StorageDeletion",
    "Tag",
    "Upload",
    "UploadPart",
]
