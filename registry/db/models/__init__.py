"""Every table of the core.

Importing this package registers all of them on :class:`registry.db.base.Base`.
"""

from __future__ import annotations

from registry.db.models.access import (
    AccessRule,
    AccessState,
    ApiKey,
    LoginFailure,
    Principal,
    RefreshToken,
    Team,
    TeamMember,
    TokenKey,
    Trust,
)
from registry.db.models.audit import AuditEntry, AuditRecord, AuditState
from registry.db.models.content import Blob, PurgedDigest, RepositoryBlob, StorageDeletion, Upload, UploadPart
from registry.db.models.events import EventConsumer, EventDelivery, Outbox
from registry.db.models.federated import BrowserLogin, Identity, LoginRequest
from registry.db.models.legacy import LegacyImageRow, ManifestLegacyImage
from registry.db.models.manifests import Label, Manifest, ManifestBlob, ManifestChild
from registry.db.models.operations import BackupHold, ReadOnlySwitch
from registry.db.models.plugins import PluginBlock, PluginHealth, PluginValue
from registry.db.models.repositories import Namespace, Repository, Rule, SigningKey, Tag
from registry.db.models.retention import RetentionPage, RetentionPlan
from registry.db.models.work import GcReview, Job, JobRun

__all__ = [
    "AccessRule",
    "AccessState",
    "ApiKey",
    "AuditEntry",
    "AuditRecord",
    "AuditState",
    "BackupHold",
    "Blob",
    "BrowserLogin",
    "EventConsumer",
    "EventDelivery",
    "GcReview",
    "Identity",
    "Job",
    "JobRun",
    "Label",
    "LegacyImageRow",
    "LoginFailure",
    "LoginRequest",
    "Manifest",
    "ManifestBlob",
    "ManifestChild",
    "ManifestLegacyImage",
    "Namespace",
    "Outbox",
    "PluginBlock",
    "PluginHealth",
    "PluginValue",
    "Principal",
    "PurgedDigest",
    "ReadOnlySwitch",
    "RefreshToken",
    "Repository",
    "RepositoryBlob",
    "RetentionPage",
    "RetentionPlan",
    "Rule",
    "SigningKey",
    "StorageDeletion",
    "Tag",
    "Team",
    "TeamMember",
    "TokenKey",
    "Trust",
    "Upload",
    "UploadPart",
]
