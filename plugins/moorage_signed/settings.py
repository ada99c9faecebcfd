"""What the operator asks for: rules, each with the keys that it trusts."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Literal

from moorage_signed.keys import PublicKey, load_keys

Moment = Literal["pull", "tag"]


@dataclass(frozen=True)
class Rule:
    """What must be there for tags of some names in some repositories; a name is matched by ``*``, ``?`` and ``[]``.

    ``keys`` are PEM texts or paths of PEM files: a signature by any of them will do. Raises :class:`ValueError` that
    says what to change.
    """

    keys: tuple[str, ...]
    repositories: tuple[str, ...] = ("*",)
    tags: tuple[str, ...] = ("*",)
    require: Literal["signature", "attestation"] = "signature"
    predicate_type: str = ""
    at: Literal["pull", "tag", "both"] = "pull"

    def __post_init__(self) -> None:
        """Check what the types do not say, and read the keys."""
        if self.require == "attestation" and ":" not in self.predicate_type:
            raise ValueError(
                f"predicate_type is {self.predicate_type!r}: an attestation is asked for by the whole URI of its type, "
                "such as https://slsa.dev/provenance/v1"
            )
        if self.require == "signature" and self.predicate_type:
            raise ValueError('predicate_type is for attestations: add require = "attestation", or leave it out')
        for name in ("repositories", "tags"):
            if not getattr(self, name):
                raise ValueError(f"{name} is empty, so the rule would hold for nothing: leave it out for all")
        if not self.public_keys:
            raise ValueError("keys is empty, so nothing would pass: give the path of a cosign.pub")

    @cached_property
    def public_keys(self) -> tuple[PublicKey, ...]:
        """The keys, read once: another key in the file counts after a restart."""
        return tuple(key for text in self.keys for key in load_keys(text))

    def holds_for(self, repository: str, tag: str, moment: Moment) -> bool:
        """Tell whether the rule asks anything of this tag at this moment."""
        return (
            self.at in (moment, "both")
            and any(fnmatchcase(repository, pattern) for pattern in self.repositories)
            and any(fnmatchcase(tag, pattern) for pattern in self.tags)
        )


@dataclass(frozen=True)
class Settings:
    """``[plugins.signed]``: a tag must satisfy every rule that holds for it."""

    rules: tuple[Rule, ...] = field(
        default=(), metadata={"about": "what must be signed: repositories, tags, keys, require, predicate_type, at"}
    )
