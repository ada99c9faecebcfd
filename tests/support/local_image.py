"""The image of deploy/Containerfile on a base of what is installed here: no image can be pulled where tests run."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from tests.support.commands import Command

ROOT = Path(__file__).resolve().parents[2]
_PLATFORMS = ("manylinux_2_28", "manylinux_2_17", "manylinux2014")
_WANTED = (
    "bash",
    "ca-certificates",
    "coreutils",
    "dash",
    "libc-bin",
    "libstdc++6",
    "media-types",
    "python3",
    "python3-venv",
    "tzdata",
)
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9+.-]*", re.MULTILINE)
_DOCS = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/lintian/")


def build(buildah: Command, folder: Path, name: str) -> None:
    """Build the image and name it so; what pip installs in it is downloaded to the folder before."""
    root, wheels = folder / "base", folder / "wheels"
    make_root(root)
    container = buildah("from", "scratch").strip()
    buildah("add", "--quiet", container, root, "/")
    buildah("commit", "--quiet", "--rm", container, "localhost/base")
    shutil.rmtree(root)
    download_wheels(wheels)
    offline = (
        "--build-arg",
        "PIP_NO_INDEX=1",
        "--build-arg",
        "PIP_FIND_LINKS=/wheels",
        "--volume",
        f"{wheels}:/wheels:ro",
    )
    flags = ("--isolation", "chroot", "--format", "docker", "--build-arg", "BASE=localhost/base", *offline)
    buildah("bud", *flags, "--file", ROOT / "deploy/Containerfile", "--tag", name, ROOT)
    shutil.rmtree(wheels)


def download_wheels(folder: Path) -> None:
    """Download what the distribution needs, and what builds it, for Debian's Python."""
    version = "import sys; print('%d.%d' % sys.version_info[:2])"
    python = subprocess.run(["/usr/bin/python3", "-c", version], capture_output=True, text=True, check=True)
    machine = os.uname().machine
    target = [word for one in _PLATFORMS for word in ("--platform", f"{one}_{machine}")]
    target += ["--only-binary", ":all:", "--implementation", "cp", "--python-version", python.stdout.strip()]
    dist = folder / "dist"
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)], cwd=ROOT, check=True)
    (wheel,) = dist.glob("*.whl")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--dest", str(folder), *target]
    subprocess.run([*pip, str(wheel), "hatchling"], check=True)


def make_root(folder: Path) -> None:
    """Copy the files of Debian's Python, of a shell, and of all that they depend on, into a folder."""
    merged = [link for link in map(Path, ("/bin", "/sbin", "/lib", "/lib64")) if link.is_symlink()]
    for link in merged:
        target = folder / link.readlink()
        target.mkdir(parents=True, exist_ok=True)
        (folder / link.name).symlink_to(link.readlink())
    for name in ("dev", "etc", "proc", "sys", "tmp", "var/tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "tmp").chmod(0o1777)
    for path in _files(_closure(_WANTED)):
        _copy(path, folder)
    for name in ("etc/passwd", "etc/group", "etc/ld.so.conf", "etc/ld.so.conf.d"):
        _copy(Path("/", name), folder)
    subprocess.run(["/sbin/ldconfig", "-r", str(folder)], check=True)


def _closure(names: Iterable[str]) -> list[str]:
    """Return the packages and all that they depend on, of those that are installed."""
    flags = ["--recurse", "--installed", "--no-recommends", "--no-suggests", "--no-enhances", "--no-conflicts"]
    more = ["--no-breaks", "--no-replaces"]
    done = subprocess.run(["apt-cache", "depends", *flags, *more, *names], capture_output=True, text=True, check=True)
    return sorted(set(_NAME.findall(done.stdout)))


def _files(packages: Iterable[str]) -> list[Path]:
    done = subprocess.run(["dpkg-query", "--listfiles", *packages], capture_output=True, text=True, check=False)
    lines = sorted(set(done.stdout.splitlines()))
    return [Path(line) for line in lines if line.startswith("/") and line != "/." and not line.startswith(_DOCS)]


def _copy(path: Path, folder: Path) -> None:
    """Copy a file, a link or an empty folder to its real place: /bin is a link to usr/bin."""
    if not os.path.lexists(path):
        return  # a package's file that this machine's owner removed, or renamed
    place = folder / path.parent.resolve().relative_to("/") / path.name
    if os.path.lexists(place):
        return
    if path.is_dir() and not path.is_symlink():
        if path.name != "dist-packages" and not path.is_relative_to("/usr/share/python3"):
            place.mkdir(parents=True, exist_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(path, place, follow_symlinks=False)
