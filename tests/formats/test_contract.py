"""The built-in formats keep the contract that every format does."""

from registry.formats import manifest_list, oci_index, oci_manifest, schema1, schema2
from registry.manifests.creator import EMPTY_LAYER
from registry.testing.contracts import FormatContract
from registry.testing.images import (
    DOCKER,
    OCI,
    SCHEMA1,
    SIGNED_SCHEMA1,
    Blob,
    Manifest,
    artifact,
    index,
    simple_image,
    simple_index,
)
from tests.formats import corpus
from tests.support.images import schema1 as unsigned


def bad(*media_types):
    """Return the corpus's first hostile cases of these types, a few of each."""
    cases = {
        name: Blob(payload, media_type) for name, media_type, payload in corpus.hostile() if media_type in media_types
    }
    return dict(list(cases.items())[::25])


class TestOciManifest(FormatContract):
    plugin = oci_manifest
    good = (
        simple_image("a"),
        artifact("application/vnd.example.notes", Blob(b"note", "text/plain")),
        artifact("application/vnd.example.signature", subject=simple_image("a"), annotations={"a": "b"}),
    )
    bad = bad(OCI.manifest)


class TestOciIndex(FormatContract):
    plugin = oci_index
    good = (simple_index("a"), index(simple_index("b"), annotations={"a": "b"}))
    bad = bad(OCI.index)


class TestSchema2(FormatContract):
    plugin = schema2
    good = (simple_image("a", DOCKER),)
    bad = bad(DOCKER.manifest)


class TestManifestList(FormatContract):
    plugin = manifest_list
    good = (simple_index("a", DOCKER),)
    bad = bad(DOCKER.index)


class TestSchema1(FormatContract):
    plugin = schema1
    good = (
        unsigned(*simple_image("a", DOCKER).layers, labels={"a": "b"}),
        Manifest(
            (corpus.GOLDEN / "signed-p256.json").read_bytes(), SIGNED_SCHEMA1, blobs=(Blob(b"abc"), Blob(EMPTY_LAYER))
        ),
    )
    bad = bad(SCHEMA1, SIGNED_SCHEMA1)
