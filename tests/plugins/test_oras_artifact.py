"""The plugin of files, charts and bills of materials."""

import pytest

import moorage_oras_artifact as plugin
from registry.errors import ManifestInvalid
from registry.testing.images import EMPTY_CONFIG, OCI, Blob, Manifest, artifact, simple_image, to_json

CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
METADATA = {"name": "boat", "version": "1.2.3", "appVersion": "7", "type": "application", "apiVersion": "v2"}


def titled(data, title, media_type="text/plain"):
    return Blob(data, media_type), title


def with_titles(artifact_type, *files):
    """Build what oras pushes: files with their names as annotations."""
    body = {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        "artifactType": artifact_type,
        "config": EMPTY_CONFIG.descriptor(),
        "layers": [blob.descriptor(annotations={plugin.TITLE: title}) for blob, title in files],
    }
    return Manifest(to_json(body), OCI.manifest, blobs=(EMPTY_CONFIG, *(blob for blob, _ in files)))


def chart(metadata=METADATA, *, archive=CHART, config=None):
    parts = Blob(to_json(metadata) if config is None else config, plugin.HELM), Blob(b"an archive", archive)
    body = {
        "schemaVersion": 2,
        "mediaType": OCI.manifest,
        "config": parts[0].descriptor(),
        "layers": [parts[1].descriptor()],
    }
    return Manifest(to_json(body), OCI.manifest, blobs=parts)


@pytest.fixture
def direct(with_plugins):
    return with_plugins()


def labels(direct, manifest):
    return {key: row.value for key, row in direct.labels(manifest).items()}


def layers(direct, manifest):
    with direct.app.test_client() as client:
        found = client.get(f"/api/v1/repositories/team/app/-/manifests/{manifest.digest}").json["layers"]
    return [(layer["comment"], layer["digest"], layer["size"], layer["media_type"]) for layer in found]


def test_files_are_listed_by_their_names(direct):
    files = titled(b"one", "a.txt"), titled(b"two!", "docs/b.txt", "text/markdown")
    pushed = with_titles(plugin.FILES[0], *files)
    direct.push(pushed, "v1")
    (one, _), (two, _) = files
    assert layers(direct, pushed) == [
        ("a.txt", one.digest, 3, "text/plain"),
        ("docs/b.txt", two.digest, 4, "text/markdown"),
    ]
    assert labels(direct, pushed) == {}


def test_an_artifact_without_files_lists_its_empty_one(direct):
    pushed = artifact(plugin.FILES[0])
    direct.push(pushed, "v1")
    assert [layer[1] for layer in layers(direct, pushed)] == [EMPTY_CONFIG.digest]


def test_a_chart_says_what_it_is(direct):
    pushed = chart()
    direct.push(pushed, "1.2.3")
    assert labels(direct, pushed) == {
        "org.moorage.helm.name": "boat",
        "org.moorage.helm.version": "1.2.3",
        "org.moorage.helm.app-version": "7",
        "org.moorage.helm.type": "application",
    }
    assert [layer[0] for layer in layers(direct, pushed)] == ["chart"]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (chart(archive="text/plain"), "a layer that is its archive"),
        (chart(config=b"[]"), "is a JSON object"),
        (chart(config=b"{"), "is a JSON object"),
        (chart({"name": "boat"}), "has a version"),
        (chart({"name": 7, "version": "1"}), "has a name"),
        (chart({"name": "", "version": "1"}), "has a name"),
    ],
)
def test_a_chart_that_no_client_could_use_is_refused(direct, broken, reason):
    with pytest.raises(ManifestInvalid, match=reason):
        direct.push(broken, "v1")


def test_a_chart_with_odd_fields_keeps_what_is_text(direct):
    pushed = chart({**METADATA, "appVersion": 7, "type": {"x": 1}})
    direct.push(pushed, "v1")
    assert set(labels(direct, pushed)) == {"org.moorage.helm.name", "org.moorage.helm.version"}


def test_a_long_chart_is_stored_without_labels(direct):
    pushed = chart({**METADATA, "description": "x" * plugin.MAX_CONFIG})
    direct.push(pushed, "v1")
    assert labels(direct, pushed) == {}


def bill(kind, document):
    return artifact(kind, Blob(document if isinstance(document, bytes) else to_json(document), kind))


def test_an_spdx_bill_says_what_it_is(direct):
    document = {
        "spdxVersion": "SPDX-2.3",
        "name": "app",
        "creationInfo": {"created": "2026-01-02T03:04:05Z", "creators": ["Tool: syft"]},
        "packages": [{"name": "a"}, {"name": "b"}],
    }
    for kind in plugin.SPDX:
        pushed = bill(kind, document)
        direct.push(pushed, "v1")
        assert labels(direct, pushed) == {
            "org.moorage.sbom.format": "SPDX-2.3",
            "org.moorage.sbom.name": "app",
            "org.moorage.sbom.created": "2026-01-02T03:04:05Z",
            "org.moorage.sbom.components": "2",
        }


def test_a_cyclonedx_bill_says_what_it_is(direct):
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {"timestamp": "2026-01-02T03:04:05Z", "component": {"name": "app"}},
        "components": [{"name": "a"}],
    }
    pushed = bill(plugin.CYCLONEDX[0], document)
    direct.push(pushed, "v1")
    assert labels(direct, pushed) == {
        "org.moorage.sbom.format": "CycloneDX-1.6",
        "org.moorage.sbom.name": "app",
        "org.moorage.sbom.created": "2026-01-02T03:04:05Z",
        "org.moorage.sbom.components": "1",
    }


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<xml/>",
        b"[]",
        b"{}",
        b'{"spdxVersion": 7}',
        b'{"bomFormat": "CycloneDX", "metadata": [], "components": {}}',
        b'{"spdxVersion": "SPDX-2.3", "creationInfo": "now", "packages": {"a": 1}}',
        b"{" * 100_000,
        b'{"a": ' * 40 + b"1" + b"}" * 40,
        b"\xff\xfe",
    ],
    ids=range(10),
)
@pytest.mark.parametrize("kind", [plugin.SPDX[0], plugin.CYCLONEDX[0]])
def test_a_bill_that_cannot_be_read_is_stored_all_the_same(direct, kind, document):
    pushed = bill(kind, document)
    direct.push(pushed, "v1")
    assert direct.get("v1").payload == pushed.data
    assert all(len(value) <= 1000 for value in labels(direct, pushed).values())


def test_a_long_bill_is_stored_without_labels(direct, monkeypatch):
    monkeypatch.setattr(plugin, "MAX_SBOM", 50)
    pushed = bill(plugin.SPDX[0], {"spdxVersion": "SPDX-2.3", "name": "x" * 50})
    direct.push(pushed, "v1")
    assert labels(direct, pushed) == {}


def test_a_bill_of_a_repository_that_may_lack_content_is_stored(with_plugins):
    direct = with_plugins(allow_sparse=True)
    for sparse in (bill(plugin.SPDX[0], {"spdxVersion": "SPDX-2.3"}), chart()):
        direct.put(sparse, "v1")
        assert labels(direct, sparse) == {}


def test_an_image_is_none_of_it(direct):
    pushed = simple_image("app")
    direct.push(pushed, "v1")
    assert labels(direct, pushed) == {"text": "app"}
    assert len(layers(direct, pushed)) == 3


def test_further_types_come_from_the_settings():
    class Context:
        settings = plugin.Settings(types=("application/vnd.example.model", plugin.HELM))

    types = plugin.artifact_types(Context())
    assert types[-1] == "application/vnd.example.model"
    assert len(types) == len(set(types))
