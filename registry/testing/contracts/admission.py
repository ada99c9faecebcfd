"""What every plugin that admits must do.

::

    class TestSource(AdmissionContract):
        plugin = moorage_source
        admitted = (image(layer({"a": b"1"}), labels={"org.opencontainers.image.source": "https://example.com"}),)
        refused = {"says where its source is": image(layer({"a": b"1"}))}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from registry.testing.client import Refused, RegistryClient
from registry.testing.contracts.observers import plugin_settings
from registry.testing.hooks import Implementations
from registry.testing.images import (
    DOCKER,
    SCHEMA1,
    Blob,
    Manifest,
    artifact,
    image,
    index,
    layer,
    simple_image,
    simple_index,
    to_json,
)

__all__ = ["AdmissionContract"]

_HOOKS = {"admit_manifest", "admit_tag_change", "admit_pull"}
_REPOSITORY = "contract/admission"
_LAYER = layer({"a": b"1"})
_SCHEMA1_IMAGE = Manifest(
    to_json(
        {
            "schemaVersion": 1,
            "name": _REPOSITORY,
            "tag": "v1",
            "architecture": "amd64",
            "fsLayers": [{"blobSum": _LAYER.digest}],
            "history": [{"v1Compatibility": '{"id": "%s"}' % ("a" * 64)}],
        }
    ),
    SCHEMA1,
    blobs=(_LAYER,),
)


class AdmissionContract:
    """Subclass it, and name the ``plugin``, what it admits, and what it refuses for which reason."""

    plugin: object
    """The module, or object, that implements hooks of admission."""
    settings: Mapping[str, Any] = {}
    """What ``[plugins.NAME]`` of the configuration file holds."""
    admitted: Sequence[Manifest]
    """Manifests that can be pushed under a tag, and pulled by it."""
    refused: Mapping[str, Manifest]
    """Manifests that cannot, each under words of the reason."""
    tag: str = "v1"
    """The tag that the examples are pushed under."""
    repository: str = _REPOSITORY
    """The repository that they are pushed to."""

    @pytest.fixture
    def moorage_plugins(self) -> Sequence[object]:
        """Return what the registry of these tests has."""
        return [self.plugin]

    @pytest.fixture
    def moorage_settings(self) -> Mapping[str, Any]:
        """Return what the registry of these tests is told."""
        return plugin_settings(self.plugin, self.settings)

    def test_it_admits(self) -> None:
        """A plugin that admits implements ``admit_manifest``, ``admit_tag_change`` or ``admit_pull``."""
        hooks = set(Implementations(self.plugin).hooks)
        assert hooks & _HOOKS, f"it implements {', '.join(sorted(hooks))}, and none of {', '.join(sorted(_HOOKS))}"

    def test_there_are_examples(self) -> None:
        """``admitted`` and ``refused`` hold one manifest each at least."""
        assert self.admitted, "give manifests that are admitted"
        assert self.refused, "give manifests that are refused, by words of the reason"

    def test_what_is_admitted_is_pushed_and_pulled(self, moorage_client: RegistryClient) -> None:
        """Each of ``admitted`` can be pushed under a tag and pulled by it, and pushed again."""
        for manifest in self.admitted:
            for _ in range(2):
                moorage_client.push(self.repository, manifest, self.tag)
            assert moorage_client.digest(self.repository, self.tag) == manifest.digest

    def test_what_is_refused_is_refused_for_the_reason(self, moorage_client: RegistryClient) -> None:
        """Each of ``refused`` is answered 403 DENIED at its push or its pull, each time, with the reason."""
        for words, manifest in self.refused.items():
            for _ in range(2):
                with pytest.raises(Refused) as refused:
                    self._push_and_pull(moorage_client, manifest)
                _assert_denied(refused.value)
                assert words in refused.value.reason, f"{words!r} is not among the words: {refused.value.reason}"

    def test_anything_is_decided(self, moorage_client: RegistryClient) -> None:
        """Whatever is pushed, it is admitted or denied with a reason: images without labels or config, indexes, ...

        What a hook raises other than Denied refuses the push as well, with a message that helps nobody.
        """
        bare = image()
        for number, manifest in enumerate(
            (
                bare,
                simple_image("a", DOCKER),
                _SCHEMA1_IMAGE,
                simple_index("a"),
                index(),
                artifact("application/vnd.example.odd", Blob(b"", "application/octet-stream"), subject=bare),
            )
        ):
            try:
                moorage_client.push(f"{self.repository}/any", manifest, self.tag, f"any-{number}")
                moorage_client.manifest(f"{self.repository}/any", self.tag)
            except Refused as refused:
                _assert_denied(refused)

    @pytest.mark.moorage(settings={"allow_sparse": True})
    def test_what_is_missing_is_decided(self, moorage_client: RegistryClient) -> None:
        """An image whose config and layers are missing (sparse manifests) is admitted or denied with a reason, too.

        Whoever reads content catches ContentMissing.
        """
        repository, sparse = f"{self.repository}/sparse", simple_image("a")
        try:
            moorage_client.put_manifest(repository, sparse, self.tag)
            moorage_client.manifest(repository, self.tag)
        except Refused as refused:
            _assert_denied(refused)

    def _push_and_pull(self, client: RegistryClient, manifest: Manifest) -> None:
        client.push(self.repository, manifest, self.tag)
        client.manifest(self.repository, self.tag)


def _assert_denied(refused: Refused) -> None:
    assert (refused.status, refused.code) == (403, "DENIED"), str(refused)
    assert isinstance(refused.detail, Mapping), str(refused)
    assert "reason" in refused.detail, f"a hook failed instead of raising Denied: {refused}"
