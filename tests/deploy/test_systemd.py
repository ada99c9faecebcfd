"""The units: systemd understands each line, and they leave the services little that could be done with them."""

import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.ports import PATIENCE
from tests.support.proxies import DEPLOY
from tests.support.server import MoorageServer
from tests.support.tools import tool

pytestmark = pytest.mark.needs_tools

UNITS = ("moorage.service", "moorage-worker.service")
SYSTEM = Path("/usr/lib/systemd/system")
EXPOSURE = 1.5
"""The most of ten; systemd itself calls what is below 2 "OK", as it is with services that listen at all."""
PROGRAM = "/opt/moorage/bin/moorage"


@pytest.fixture
def root(tmp_path):
    """A system with our units, systemd's own, and something in the place of the installed program."""
    ours = tmp_path / "etc/systemd/system"
    ours.mkdir(parents=True)
    for name in UNITS:
        shutil.copy(DEPLOY / "systemd" / name, ours)
    shutil.copytree(SYSTEM, tmp_path / SYSTEM.relative_to("/"), symlinks=True)
    program = tmp_path / PROGRAM.removeprefix("/")
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return tmp_path


def verify(root, *units):
    argv = [tool("systemd-analyze"), "verify", "--man=no", f"--root={root}", *units]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    # Of systemd's own units some lack what is not installed.
    return done.returncode, [line for line in done.stderr.splitlines() if "moorage" in line]


def test_systemd_understands_every_line(root):
    assert verify(root, *UNITS) == (0, [])


def test_a_line_that_systemd_does_not_know_is_found(root):
    """The check itself can fail."""
    unit = root / "etc/systemd/system/moorage.service"
    unit.write_text(unit.read_text().replace("NoNewPrivileges=", "NoNewPriviledges="))
    _, told = verify(root, "moorage.service")
    assert "NoNewPriviledges" in " ".join(told)


@pytest.mark.parametrize("unit", UNITS)
def test_little_is_exposed(unit, figure):
    argv = [tool("systemd-analyze"), "security", "--offline=yes", "--no-pager", str(DEPLOY / "systemd" / unit)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    level = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert level, done.stdout
    figure(f"exposure {level[1]} of 10, as systemd counts")
    assert float(level[1]) <= EXPOSURE, done.stdout


def test_the_server_tells_systemd_when_it_is_ready(tmp_path):
    """Type=notify: without this word, systemd would take the start for one that hangs (sd_notify(3))."""
    assert "Type=notify\n" in (DEPLOY / "systemd/moorage.service").read_text()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE)
        with MoorageServer(tmp_path / "data", env={"NOTIFY_SOCKET": str(tmp_path / "notify")}) as server:
            assert "READY=1" in systemd.recv(4096).decode().splitlines()
            assert server.is_ready()


def test_both_are_confined_alike():
    confined = []
    for unit in UNITS:
        _, _, hardening = (DEPLOY / "systemd" / unit).read_text().partition("# What follows is the same")
        confined.append(hardening.partition("\n")[2])
    assert confined[0]
    assert confined[0] == confined[1]


def test_the_service_is_given_time_to_end():
    text = (DEPLOY / "systemd/moorage.service").read_text()
    assert int(re.search(r"TimeoutStopSec=(\d+)s", text)[1]) > 30  # graceful_timeout, if nobody set another


def test_the_user_is_made_as_systemd_makes_users(root):
    config = root / "usr/lib/sysusers.d"
    config.mkdir(parents=True)
    shutil.copy(DEPLOY / "systemd/moorage.sysusers", config / "moorage.conf")
    subprocess.run([tool("systemd-sysusers"), f"--root={root}", "moorage.conf"], check=True, timeout=60)
    assert "moorage:" in (root / "etc/passwd").read_text()
