"""Nothing malformed or ambiguous is taken, and each refusal says why."""

from collections import Counter

import pytest

from registry.errors import ManifestInvalid
from tests.formats import corpus
from tests.formats.owners import owner_of

CASES = list(corpus.hostile())


def parse(media_type, payload):
    return owner_of(media_type).parse_manifest(media_type, payload)


@pytest.mark.parametrize("media_type", corpus.MEDIA_TYPES)
def test_the_documents_that_cases_are_made_of_are_good(media_type):
    assert parse(media_type, corpus.payload_of(media_type)).media_type == media_type


@pytest.mark.parametrize(("media_type", "payload"), [pytest.param(*case[1:], id=case[0]) for case in CASES])
def test_hostile_manifests_are_refused(media_type, payload):
    with pytest.raises(ManifestInvalid) as refusal:
        parse(media_type, payload)
    assert refusal.value.http_status == 400
    assert refusal.value.message != ManifestInvalid.summary
    assert len(refusal.value.message) < 400
    assert len(repr(refusal.value.detail)) < 800


def test_there_are_enough_cases_and_none_twice():
    assert len(CASES) > 400
    assert [name for name, count in Counter(name for name, _, _ in CASES).items() if count > 1] == []
    assert (
        sum(name.split(": ")[0] in {"oci", "schema2", "index", "list"} and "with " in name for name, _, _ in CASES)
        >= 12
    )


@pytest.mark.parametrize(
    ("media_type", "path", "value", "field"),
    [
        (corpus.OCI_IMAGE, "layers.1.digest", "x", "layers[1].digest"),
        (corpus.SCHEMA2, "config.size", -1, "config.size"),
        (corpus.OCI_INDEX, "manifests.0.platform.os", None, "manifests[0].platform.os"),
        (corpus.OCI_IMAGE, "annotations", {"a": 1}, "annotations[a]"),
        (corpus.OCI_IMAGE, "mediaType", "text/plain", "mediaType"),
        (corpus.UNSIGNED, "fsLayers.1.blobSum", "x", "fsLayers[1].blobSum"),
        (corpus.UNSIGNED, "history.1.v1Compatibility", "{}", "history[1].v1Compatibility"),
    ],
)
def test_a_refusal_names_the_field(media_type, path, value, field):
    with pytest.raises(ManifestInvalid) as refusal:
        parse(media_type, corpus.changed(media_type, path, value))
    assert refusal.value.detail["field"] == field
    assert field in refusal.value.message
