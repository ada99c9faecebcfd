"""Make the plain manifests of deploy/kubernetes/ from the chart: `make manifests`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
FOLDER = DEPLOY / "kubernetes"
_OLDEST = "1.30.0"
_HEAD = "# Made from the chart deploy/helm/moorage and values.yaml by `make manifests`: change those instead.\n"
_FILES = {
    "migrate.yaml": ["--show-only", "templates/migrate.yaml"],
    "moorage.yaml": ["--no-hooks"],
}


def template(helm: str, *flags: str) -> str:
    """Return what the chart makes for the oldest Kubernetes that it supports; raises CalledProcessError."""
    argv = [helm, "template", "moorage", str(DEPLOY / "helm" / "moorage"), "--namespace", "moorage"]
    argv += ["--kube-version", _OLDEST, *flags]
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - helm, with our own words
    return done.stdout


def manifests(helm: str) -> dict[str, str]:
    """Return the manifests by the names of their files."""
    values = ["--values", str(FOLDER / "values.yaml")]
    return {name: _HEAD + template(helm, *values, *flags) for name, flags in _FILES.items()}


def main() -> None:
    """Write them."""
    for name, text in manifests(os.environ.get("HELM", "helm")).items():
        (FOLDER / name).write_text(text)
        sys.stdout.write(f"{FOLDER / name}\n")


if __name__ == "__main__":
    main()
