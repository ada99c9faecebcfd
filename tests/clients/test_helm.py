"""helm: charts as OCI artifacts."""

import pytest

from registry.testing.images import digest_of

pytestmark = pytest.mark.needs_tools

CONFIG = "application/vnd.cncf.helm.config.v1+json"
CHART = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
PROVENANCE = "application/vnd.cncf.helm.chart.provenance.v1.prov"
HTTP = "--plain-http"


@pytest.fixture
def helm(command):
    return command("helm")


@pytest.fixture
def package(helm, repository, tmp_path):
    """Make a chart of a version, and return its archive."""
    folder = tmp_path / "boat"
    (folder / "templates").mkdir(parents=True)
    (folder / "values.yaml").write_text("hold: empty\n")
    (folder / "templates" / "cargo.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: cargo}\ndata: {hold: {{ .Values.hold }}}\n"
    )

    def make(version):
        (folder / "Chart.yaml").write_text(
            f"apiVersion: v2\nname: boat\nversion: {version}\ndescription: {repository}\n"
        )
        helm("package", folder, "--destination", tmp_path)
        return tmp_path / f"boat-{version}.tgz"

    return make


def test_a_chart_is_pushed_and_pulled(helm, package, registry, repository, ref, tmp_path):
    archive = package("1.2.3")
    helm("push", archive, f"oci://{ref}", HTTP)
    stored = registry.manifest(f"{repository}/boat", "1.2.3")
    assert stored.body["config"]["mediaType"] == CONFIG
    (chart,) = stored.body["layers"]
    assert (chart["mediaType"], chart["digest"]) == (CHART, digest_of(archive.read_bytes()))
    assert registry.tags(f"{repository}/boat") == ["1.2.3"]
    assert stored.body["annotations"]["org.opencontainers.image.description"] == repository

    (tmp_path / "out").mkdir()
    told = helm.run("pull", f"oci://{ref}/boat", "--version", "1.2.3", HTTP, "--destination", tmp_path / "out")
    assert f"Digest: {stored.digest}" in told.stdout + told.stderr
    assert (tmp_path / "out" / archive.name).read_bytes() == archive.read_bytes()


def test_a_provenance_file_goes_along(helm, package, registry, repository, ref, tmp_path):
    archive = package("1.0.0")
    provenance = archive.with_name(f"{archive.name}.prov")
    provenance.write_text("signed by the harbour master")
    helm("push", archive, f"oci://{ref}", HTTP)
    types = [one["mediaType"] for one in registry.manifest(f"{repository}/boat", "1.0.0").body["layers"]]
    assert sorted(types) == [CHART, PROVENANCE]

    (tmp_path / "out").mkdir()
    helm("pull", f"oci://{ref}/boat", "--version", "1.0.0", HTTP, "--prov", "--destination", tmp_path / "out")
    assert (tmp_path / "out" / provenance.name).read_bytes() == provenance.read_bytes()


def test_a_version_is_resolved_from_the_tags(helm, package, registry, repository, ref, tmp_path):
    versions = ["0.9.0", "1.2.0", "1.10.0", "2.0.0-rc.1"]
    for version in versions:
        helm("push", package(version), f"oci://{ref}", HTTP)
    assert registry.tags(f"{repository}/boat") == sorted(versions)
    for wanted, expected in {"": "1.10.0", "~1.2": "1.2.0", "<1": "0.9.0", ">=2.0.0-0": "2.0.0-rc.1"}.items():
        shown = helm("show", "chart", f"oci://{ref}/boat", "--version", wanted, HTTP)
        assert f"version: {expected}\n" in shown


def test_build_metadata_survives_in_the_tag(helm, package, registry, repository, ref, tmp_path):
    archive = package("0.1.0+build.5")
    helm("push", archive, f"oci://{ref}", HTTP)
    assert registry.tags(f"{repository}/boat") == ["0.1.0_build.5"]
    (tmp_path / "out").mkdir()
    helm("pull", f"oci://{ref}/boat", "--version", "0.1.0+build.5", HTTP, "--destination", tmp_path / "out")
    assert (tmp_path / "out" / archive.name).read_bytes() == archive.read_bytes()


def test_a_chart_is_rendered_and_pulled_by_digest(helm, package, registry, repository, ref):
    helm("push", package("1.0.0"), f"oci://{ref}", HTTP)
    digest = registry.digest(f"{repository}/boat", "1.0.0")
    shown = helm("template", f"oci://{ref}/boat@{digest}", HTTP, "--set", "hold=full")
    assert "data: {hold: full}" in shown


def test_a_chart_is_pushed_again_and_replaced(helm, package, registry, repository, ref):
    archive = package("1.0.0")
    helm("push", archive, f"oci://{ref}", HTTP)
    first = registry.manifest(f"{repository}/boat", "1.0.0")
    (archive.parent / "boat" / "values.yaml").write_text("hold: another\n")
    archive = package("1.0.0")
    helm("push", archive, f"oci://{ref}", HTTP)
    second = registry.manifest(f"{repository}/boat", "1.0.0")
    assert second.body["layers"][0]["digest"] == digest_of(archive.read_bytes())
    assert registry.manifest(f"{repository}/boat", first.digest) == first
    assert "hold: another" in helm("show", "values", f"oci://{ref}/boat", "--version", "1.0.0", HTTP)


def test_an_absent_version_is_told(helm, package, ref):
    helm("push", package("1.0.0"), f"oci://{ref}", HTTP)
    assert "not found" in helm.refused("pull", f"oci://{ref}/boat", "--version", "3.0.0", HTTP)
