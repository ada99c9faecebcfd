"""How much is measured."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Sizes:
    """Counts, seconds and bytes of a run; `scaled` gives smaller ones for a look."""

    seconds: float = 2.0  # of one sample of small requests
    warm_up: float = 0.3
    large_mib: int = 256
    medium_mib: int = 64
    images: int = 160  # of one sample of pushes by several clients
    single_images: int = 30  # of one sample of pushes or pulls by one client
    tags: int = 5000
    referrers: int = 1000
    repositories: int = 500
    manifests: int = 10_000  # of the growth check
    grown_repositories: int = 1000
    page: int = 100
    pages: int = 120  # lists asked for in one sample

    @classmethod
    def scaled(cls, scale: float) -> Self:
        """Return the sizes times a scale, none too small to mean anything."""

        def count(full: int, least: int) -> int:
            return max(least, round(full * scale))

        return cls(
            seconds=max(0.3, cls.seconds * scale),
            warm_up=max(0.1, cls.warm_up * scale),
            large_mib=count(cls.large_mib, 8),
            medium_mib=count(cls.medium_mib, 4),
            images=count(cls.images, 16),
            single_images=count(cls.single_images, 5),
            tags=count(cls.tags, 300),
            referrers=count(cls.referrers, 50),
            repositories=count(cls.repositories, 150),
            manifests=count(cls.manifests, 500),
            grown_repositories=count(cls.grown_repositories, 200),
            pages=count(cls.pages, 9),
        )
