"""The shell of a documentation page: `moorage`, a server behind 127.0.0.1:5000, and a `pip` that installs the page's plugin."""

import functools
import os
import re
import shlex
import signal
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.ports import PATIENCE, free_port, is_open, wait_until
from tests.support.tools import tools_dir
from tests.support.zygote import Forked, Zygote

_ADDRESS = re.compile(r"\b(?:127\.0\.0\.1|localhost):5000\b")
_SHOWN_ADDRESS = "127.0.0.1:5000"
_PLACEHOLDER = "sha256:..."
_END = "\x1e"
_ANSWER = b"y\n"  # whoever reads a page wants what the command asks about
# curl fails where the registry refuses; pip does with a folder what the real one does in longer.
_START = """\
curl() {{ command curl -s --fail-with-body "$@"; }}
pip() {{ {python} -IS {pip} "$@"; }}
export -f curl pip
SHA=$MANIFEST
"""
_PIP = """\
import os, pathlib, shutil, sys, tomllib
site = pathlib.Path(os.environ["PYTHONPATH"])
verb, what = sys.argv[1], sys.argv[-1]
if verb == "uninstall":
    (info,) = site.glob(f"{what.replace('-', '_')}-*.dist-info")
    sys.exit(shutil.rmtree(info))
source = pathlib.Path(what)
if verb != "install" or not (source / "pyproject.toml").is_file():
    sys.exit(f"pages install what they show: pip install . (this was: {sys.argv[1:]})")
project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
name, version, points = project["name"], project["version"], project.get("entry-points", {})
info = site / f"{name.replace('-', '_')}-{version}.dist-info"
info.mkdir(parents=True, exist_ok=True)
(info / "METADATA").write_text(f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
sections = [f"[{group}]\\n" + "".join(f"{k} = {v}\\n" for k, v in named.items()) for group, named in points.items()]
(info / "entry_points.txt").write_text("".join(sections))
for module in points.get("moorage", {}).values():
    found = [folder / kind for folder in (source, source / "src") for kind in (module, f"{module}.py")]
    (code,) = (path for path in found if path.exists())
    if code.is_dir():
        shutil.copytree(code, site / module, dirs_exist_ok=True)
    else:
        shutil.copy(code, site)
"""


@functools.cache
def is_whole(command: str) -> bool:
    """Tell whether a text is a whole command, and not the beginning of a longer one."""
    if command.endswith("\\"):
        return False
    checked = subprocess.run(["bash", "-n", "-c", command], capture_output=True, check=False)
    return checked.returncode == 0 and not checked.stderr


@dataclass
class Shell:
    """A shell in a page's folder, whose `data` is its registry, with a server that is started when one is spoken to."""

    folder: Path
    zygote: Zygote
    variables: Mapping[str, str]
    _shell: subprocess.Popen[str] | None = None
    _server: Forked | None = None
    _port: int = field(default_factory=free_port)
    _terminal: tuple[int, int] = field(default_factory=os.openpty)

    @property
    def site(self) -> Path:
        """The folder in which the page's `pip` installs."""
        return self.folder / ".site"

    def run(self, command: str) -> tuple[str, int]:
        """Run a command; return what it wrote, and its exit code."""
        if _PLACEHOLDER in command:
            command = command.replace(_PLACEHOLDER, self._run('printf %s "$SHA"')[0])
        if _ADDRESS.search(command):
            self._serve()
        told, code = self._run(_ADDRESS.sub(f"127.0.0.1:{self._port}", command))
        if command.startswith("pip "):
            self._stop_server()  # plugins are loaded when a server starts
        return told.replace(f"127.0.0.1:{self._port}", _SHOWN_ADDRESS), code

    def close(self) -> None:
        """End the server and the shell."""
        self._stop_server()
        if self._shell is not None:
            os.killpg(self._shell.pid, signal.SIGKILL)  # with what it still runs
            self._shell.communicate()
        for end in self._terminal:
            os.close(end)

    def _run(self, command: str) -> tuple[str, int]:
        shell = self._shell or self._open()
        assert shell.stdin
        assert shell.stdout
        ours, theirs = self._terminal
        termios.tcflush(theirs, termios.TCIFLUSH)
        os.write(ours, _ANSWER)
        terminal = os.ttyname(theirs)
        shell.stdin.write(f"eval {shlex.quote(command)} <{terminal}\nprintf '{_END}%s{_END}\\n' $?\n")
        shell.stdin.flush()
        told = ""
        while not told.endswith(f"{_END}\n"):
            line = shell.stdout.readline()
            if not line:
                raise AssertionError(f"the shell ended with this command: {command}\n{told}")
            told += line
        text, code, _ = told.rsplit(_END, 2)
        return text, int(code)

    def _open(self) -> "subprocess.Popen[str]":
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=self.folder,
            env=self._environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        pip = self.folder / ".pip.py"
        pip.write_text(_PIP)
        self._run(_START.format(python=sys.executable, pip=pip))
        return self._shell

    def _environment(self) -> dict[str, str]:
        search = [self.zygote.stub.parent, Path(sys.executable).parent, tools_dir(), os.environ.get("PATH", "")]
        return {
            "PATH": os.pathsep.join(map(str, search)),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(self.site),
            **self.variables,
        }

    def _serve(self) -> None:
        if self._server is None:
            args = ("serve", "--listen", f"127.0.0.1:{self._port}", "--workers", "1", "--no-worker")
            log = self.folder / ".server.log"
            self._server = self.zygote.start(*args, cwd=self.folder, env=self._environment(), log=log)
            wait_until(lambda: is_open(self._port), PATIENCE, "the page's server")

    def _stop_server(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None
