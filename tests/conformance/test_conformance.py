"""The OCI project's own conformance program finds nothing wrong, and nothing left out."""

import uuid

import pytest

from tests.support.access import AUTHENTICATION, PASSWORD, prepare
from tests.support.conformance import DRAFT, PASS, run_conformance
from tests.support.ports import free_port, is_open
from tests.support.processes import Child
from tests.support.server import MoorageServer
from tests.support.tools import tool

pytestmark = [pytest.mark.needs_tools, pytest.mark.timeout(900)]

PEER_CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {data}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@pytest.fixture(params=["sqlite-files", "sqlite-s3", "postgresql-files", "postgresql-s3"])
def parts(request):
    """The settings of one database and one storage."""
    name, settings = f"conformance-{uuid.uuid4().hex[:8]}", {}
    if "s3" in request.param:
        gateway = request.getfixturevalue("s3_gateway")
        settings |= gateway.settings(gateway.create_bucket(name))
    if "postgresql" in request.param:
        settings["MOORAGE_DATABASE_URL"] = request.getfixturevalue("postgres").create_database(name)
    return settings


@pytest.mark.parametrize("version", ["1.1", "dev"])
def test_moorage_conforms(version, parts, tmp_path):
    settings = {"MOORAGE_ALLOW_SPARSE": "true", **parts}
    results = tmp_path / "results"
    results.mkdir()
    with MoorageServer(tmp_path / "data", workers=2, env=settings) as server:
        report = run_conformance(server.host, version, results)
    assert_all_passed(report, version)


def test_moorage_conforms_where_blobs_come_from_the_store(s3_gateway, tmp_path):
    """Later drafts want a header on the last answer, which no store gives: the registry's own redirect has it."""
    bucket = s3_gateway.create_bucket(f"conformance-{uuid.uuid4().hex[:8]}")
    redirects = {"MOORAGE_STORAGE_REDIRECT": "always", "MOORAGE_STORAGE_REDIRECT_MIN": "1"}
    settings = {"MOORAGE_ALLOW_SPARSE": "true", **s3_gateway.settings(bucket), **redirects}
    results = tmp_path / "results"
    results.mkdir()
    with MoorageServer(tmp_path / "data", workers=2, env=settings) as server:
        report = run_conformance(server.host, "1.1", results)
    assert_all_passed(report, "1.1")


@pytest.mark.parametrize("challenge", ["token", "basic"])
@pytest.mark.parametrize("version", ["1.1", "dev"])
def test_moorage_conforms_to_who_logs_in(version, challenge, tmp_path):
    prepare(tmp_path / "data", {"pushers": {"to": ["user:ann"], "role": "maintain"}}, users=("ann",))
    settings = {"MOORAGE_ALLOW_SPARSE": "true", "MOORAGE_CHALLENGE": challenge, **AUTHENTICATION}
    results = tmp_path / "results"
    results.mkdir()
    with MoorageServer(tmp_path / "data", workers=2, env=settings) as server:
        report = run_conformance(server.host, version, results, login=("ann", PASSWORD))
        refused = run_conformance(server.host, version, results, login=("ann", "wrong"))
    # Whoever names no source gets what the token is for, and that is the target alone.
    assert_all_passed(report, version, frozenset({"Blob anonymous mount"} if challenge == "token" else ()))
    assert refused.apis["Manifest put by tag"] != PASS


def assert_all_passed(report, version, unable=frozenset()):
    left_out = unable | (DRAFT if version == "1.1" else frozenset())
    assert report.counts["FAIL"] == report.counts["Error"] == 0, str(report)
    # A test the program skips or leaves out is a feature we lack, or one it should have been told of.
    assert set(report.not_passed()) == left_out, str(report)
    assert report.passed, str(report)
    assert report.counts["Skip"] == 0 or unable, str(report)
    assert report.counts[PASS] > 700


def test_the_report_tells_what_another_registry_fails(tmp_path):
    """The harness can fail: distribution knows neither the referrers API nor missing layers."""
    port = free_port()
    config = tmp_path / "config.yml"
    config.write_text(PEER_CONFIG.format(data=tmp_path / "data", port=port))
    results = tmp_path / "results"
    results.mkdir()
    peer = Child(
        [tool("registry-v3"), "serve", str(config)],
        tmp_path / "log",
        ready=lambda: is_open(port),
        cwd=tmp_path,
    )
    with peer:
        report = run_conformance(f"127.0.0.1:{port}", "dev", results)
    assert not report.passed
    assert report.apis["Ping"] == PASS
    assert report.data["Image"] == PASS
    assert report.not_passed()["Referrers"] == "FAIL"
    assert report.not_passed()["Sparse Manifests"] == "FAIL"
    assert report.counts["FAIL"] > 0
    missing = [failure for failure in report.failures if failure.name.endswith("/empty/referrers")]
    assert missing
    assert "404" in missing[0].errors
    assert "/referrers/sha256:" in str(missing[0])
