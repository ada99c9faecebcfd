"""Docker v1 images derived from manifests."""

from __future__ import annotations

from sqlalchemy import BigInteger, Integer, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from registry.db.base import Base, DigestText, Id, LongText, Name, reference


class LegacyImageRow(Base):
    """A v1 image of a repository; an id stands for one blob for ever."""

    __tablename__ = "legacy_image"
    __table_args__ = (UniqueConstraint("repository_id", "image_id"),)

    id: Mapped[Id]
    repository_id: Mapped[int] = mapped_column(BigInteger, reference("repository.id"))
    image_id: Mapped[Name]
    parent_id: Mapped[Name | None]
    blob_digest: Mapped[DigestText]
    created: Mapped[LongText]
    comment: Mapped[LongText]
    command: Mapped[LongText]
    compatibility: Mapped[LongText]


class ManifestLegacyImage(Base):
    """A manifest's chain of v1 images; ``position`` 0 is the base."""

    __tablename__ = "manifest_legacy_image"

    manifest_id: Mapped[int] = mapped_column(BigInteger, reference("manifest.id", cascade=True), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True)
    legacy_image_id: Mapped[int] = mapped_column(BigInteger, reference("legacy_image.id"), index=True)
