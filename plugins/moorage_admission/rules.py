"""What a rule may ask for. Patterns are shell globs: ``*`` is any text, ``?`` a character, ``[ab]`` one of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ACTIONS = ("deny", "warn")
SUBJECTS = ("images", "artifacts", "all")


def _about(text: str) -> dict[str, str]:
    return {"about": text}


@dataclass(frozen=True)
class Rule:
    """One rule: where it holds, what it asks for, and what it does.

    Raises :class:`ValueError` for what cannot be meant.
    """

    name: str = field(default="", metadata=_about("what people are told it is called"))
    action: str = field(default="deny", metadata=_about("deny or warn"))
    repositories: tuple[str, ...] = field(default=("*",), metadata=_about("patterns of the repositories it holds for"))
    tags: tuple[str, ...] = field(default=(), metadata=_about("patterns of the tags it holds for; none: all manifests"))
    subjects: str = field(default="images", metadata=_about("images, artifacts or all"))
    media_types: tuple[str, ...] = field(default=(), metadata=_about("patterns of the media types that are allowed"))
    artifact_types: tuple[str, ...] = field(default=(), metadata=_about("patterns of the artifact types allowed"))
    annotations: Mapping[str, str] = field(default_factory=dict, metadata=_about("required, with patterns of values"))
    labels: Mapping[str, str] = field(default_factory=dict, metadata=_about("required, with patterns of values"))
    base_digests: tuple[str, ...] = field(default=(), metadata=_about("base images that are allowed, by digest"))
    base_names: tuple[str, ...] = field(default=(), metadata=_about("patterns of base images that are allowed"))
    max_size: int = field(default=0, metadata=_about("bytes of all layers together; 0: any"))
    max_layers: int = field(default=0, metadata=_about("number of layers; 0: any"))
    tag_names: tuple[str, ...] = field(default=(), metadata=_about("patterns, one of which every tag has to match"))

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise ValueError(f"rule {self.name!r}: action is one of {', '.join(ACTIONS)}, not {self.action!r}")
        if self.subjects not in SUBJECTS:
            raise ValueError(f"rule {self.name!r}: subjects is one of {', '.join(SUBJECTS)}, not {self.subjects!r}")
        if self.max_size < 0 or self.max_layers < 0:
            raise ValueError(f"rule {self.name!r}: a limit is not negative")

    @property
    def is_about_tags(self) -> bool:
        """Whether it is asked when a tag is made, moved or restored, and not for each manifest that is pushed."""
        return bool(self.tags or self.tag_names)


@dataclass(frozen=True)
class Settings:
    """The settings of this plugin."""

    rules: tuple[Rule, ...] = field(default=(), metadata=_about("see docs/plugins/admission.md"))
