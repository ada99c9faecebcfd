"""What the operator asks for: rules, each with the keys that it trusts."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property

from moorage_signed.keys import PublicKey, load_keys

PULL, TAG = MOMENTS = ("pull", "tag")
"""When a rule may be asked: before a pull by tag, and before a tag stands for something else."""
SIGNATURE, ATTESTATION = ("signature", "attestation")
_CHOICES = {"require": (SIGNATURE, ATTESTATION), "at": (*MOMENTS, "both")}


@dataclass(frozen=True)
class Rule:
    """What must be there for tags of some names in some repositories; a name is matched by ``*``, ``?`` and ``[]``.

    ``keys`` are PEM texts or paths of PEM files: a signature by any of them will do. Raises :class:`ValueError` that
    says what to change.
    """

    keys: tuple[str, ...] = field(metadata={"public": True})
    repositories: tuple[str, ...] = ("*",)
    tags: tuple[str, ...] = ("*",)
    require: str = SIGNATURE
    predicate_type: str = ""
    at: str = PULL

    def __post_init__(self) -> None:
        """Check what the types do not say, and read the keys."""
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {getattr(self, name)!r}: use one of {', '.join(choices)}")
        if self.require == ATTESTATION and ":" not in self.predicate_type:
            raise ValueError(
                f"predicate_type is {self.predicate_type!r}: an attestation is asked for by the whole URI of its type, "
                "such as https://slsa.dev/provenance/v1"
            )
        if self.require == SIGNATURE and self.predicate_type:
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

    def is_asked_at(self, moment: str) -> bool:
        """Tell whether the rule is for one of :data:`MOMENTS`."""
        return self.at in (moment, "both")

    def holds_for(self, repository: str, tag: str, moment: str) -> bool:
        """Tell whether the rule asks anything of this tag at one of :data:`MOMENTS`."""
        return (
            self.is_asked_at(moment)
            and any(fnmatchcase(repository, pattern) for pattern in self.repositories)
            and any(fnmatchcase(tag, pattern) for pattern in self.tags)
        )


@dataclass(frozen=True)
class Settings:
    """``[plugins.signed]``: a tag must satisfy every rule that holds for it."""

    rules: tuple[Rule, ...] = field(
        default=(), metadata={"about": "what must be signed: repositories, tags, keys, require, predicate_type, at"}
    )
