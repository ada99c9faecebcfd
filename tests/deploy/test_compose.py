"""The compose file: as its specification says, complete, and without a password that everybody knows."""

import re
import subprocess
import sys

import pytest
import yaml

from tests.support.proxies import DEPLOY

FOLDER = DEPLOY / "compose"
COMPOSE = FOLDER / "compose.yaml"
SERVICES = yaml.safe_load(COMPOSE.read_text())["services"]
MOORAGES = ("registry-1", "registry-2", "worker", "migrate")


def check(path):
    argv = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(path)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def test_it_is_as_the_specification_says():
    done = check(COMPOSE)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_the_specification_does_not_know_is_found(tmp_path):
    """The check itself can fail."""
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("read_only:", "readonly:"))
    assert "readonly" in check(wrong).stdout


def test_each_variable_without_a_default_must_be_set_and_is_in_the_example():
    used = dict(re.findall(r"\$\{([A-Z0-9_]+)(:[?-])", COMPOSE.read_text()))
    required = {name for name, kind in used.items() if kind == ":?"}
    example = re.findall(r"^([A-Z0-9_]+)=(.*)$", (FOLDER / "env.example").read_text(), re.MULTILINE)
    assert required == {name for name, _ in example}
    assert not any(value for _, value in example)  # nothing that somebody could leave as it is
    assert len(re.findall(r"\$\{", COMPOSE.read_text())) == len(re.findall(r"\$\{[A-Z0-9_]+:[?-]", COMPOSE.read_text()))


def test_secrets_come_from_there_alone():
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY", name):
                assert re.fullmatch(r"\$\{[A-Z0-9_]+:\?.*\}", value), name


@pytest.mark.parametrize("name", MOORAGES)
def test_moorage_is_confined(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert "ports" not in service  # only nginx is reached from elsewhere


def test_what_is_waited_for_can_come():
    """`service_healthy` needs a health check, `service_completed_successfully` something that ends."""
    for name, service in SERVICES.items():
        for other, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                assert "test" in SERVICES[other]["healthcheck"], (name, other)
            else:
                assert SERVICES[other]["restart"] == "no", (name, other)


def test_nginx_is_given_the_file_and_the_names_that_are_in_it():
    site = (DEPLOY / "nginx/moorage.conf").read_text()
    for name in re.findall(r"^ *server (\S+):5000 ", site, re.MULTILINE):
        assert SERVICES[name]["command"] == ["serve", "--no-worker"]
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["nginx"]["volumes"])
    assert (FOLDER / "../nginx/moorage.conf").resolve().is_file()
    assert mounts["../nginx/moorage.conf"] == "/etc/nginx/conf.d/default.conf"
    assert f"ssl_certificate {mounts['./tls']}/tls.crt;" in site
    trusted = SERVICES["registry-1"]["environment"]["MOORAGE_TRUSTED_PROXIES"]
    assert SERVICES["nginx"]["networks"]["inside"]["ipv4_address"] == trusted


def test_replicas_are_stopped_no_sooner_than_they_end_themselves():
    for name in ("registry-1", "registry-2", "worker"):
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > 30
