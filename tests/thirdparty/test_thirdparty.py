"""The mission, proved: a stranger's wheel adds a manifest format and a label action to an installed registry."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3

import httpx
import pytest

from tests.support.server import MoorageServer
from tests.thirdparty.building import ROOT, run

pytestmark = [pytest.mark.needs_tools, pytest.mark.timeout(400)]

RECIPE = "application/vnd.example.recipe.v1+json"


def push_blob(client: httpx.Client, payload: bytes) -> dict[str, object]:
    digest = f"sha256:{hashlib.sha256(payload).hexdigest()}"
    answer = client.post("/v2/kitchen/blobs/uploads/", params={"digest": digest}, content=payload)
    assert answer.status_code == 201, answer.text
    return {"digest": digest, "size": len(payload)}


def put(client: httpx.Client, reference: str, recipe: dict[str, object]) -> httpx.Response:
    payload = json.dumps(recipe).encode()
    return client.put(f"/v2/kitchen/manifests/{reference}", content=payload, headers={"Content-Type": RECIPE})


def error_of(answer: httpx.Response) -> dict[str, object]:
    return answer.json()["errors"][0]


def test_a_strangers_plugin_extends_the_registry(python, tmp_path):
    server = MoorageServer(tmp_path / "data", python=python, cwd=tmp_path)
    with server, httpx.Client(base_url=server.url) as client:
        assert "recipe" in run(python, "-m", "registry", "plugins", "--json", cwd=tmp_path)
        photo = push_blob(client, b"\xff\xd8 a photo of a pie")

        missing_title = put(client, "pie", {"photos": [photo]})
        assert (missing_title.status_code, error_of(missing_title)["message"]) == (400, "a recipe needs a title")
        no_photo = put(client, "pie", {"title": "Pie", "photos": [push_blob(client, b"a drawing")]})
        assert (no_photo.status_code, error_of(no_photo)["message"]) == (400, "a photo must be a JPEG")

        crust = put(client, "crust", {"title": "Crust"})
        assert crust.status_code == 201, crust.text
        part = {"digest": crust.headers["Docker-Content-Digest"], "size": len(json.dumps({"title": "Crust"}))}
        unknown = {"digest": "sha256:" + "0" * 64, "size": 1}
        absent = put(client, "pie", {"title": "Pie", "parts": [unknown]})
        assert (absent.status_code, error_of(absent)["code"]) == (404, "MANIFEST_BLOB_UNKNOWN")

        pie = put(client, "pie", {"title": "Pie", "photos": [photo], "parts": [part], "days": 3})
        assert pie.status_code == 201, pie.text
        digest = pie.headers["Docker-Content-Digest"]
        assert client.get(f"/v2/kitchen/manifests/{digest}").headers["Content-Type"] == RECIPE
        with sqlite3.connect(tmp_path / "data" / "moorage.db") as database:
            life = "SELECT lifetime_end_ms - lifetime_start_ms FROM tag WHERE name = 'pie'"
            assert database.execute(life).fetchone() == (3 * 86_400_000,)
            sizes = "SELECT layers_size FROM manifest WHERE digest = ?"
            assert database.execute(sizes, (digest,)).fetchone() == (photo["size"],)

    run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "moorage-recipe")
    with server, httpx.Client(base_url=server.url) as client:
        refused = put(client, "pie", {"title": "Pie"})
        assert refused.status_code == 415
        assert "application/vnd.oci.image.manifest.v1+json" in error_of(refused)["detail"]["accepted"]
        assert RECIPE not in error_of(refused)["detail"]["accepted"]
        stored = client.get(f"/v2/kitchen/manifests/{digest}")
        assert (stored.status_code, stored.json()["title"]) == (200, "Pie")


def test_the_wheel_serves_from_anywhere_and_names_its_version(python, tmp_path):
    assert not (tmp_path / "registry").exists()
    printed = run(python, "-m", "registry", "version", "--json", cwd=tmp_path)
    assert json.loads(printed)["version"]
    assert os.fspath(ROOT) not in run(python, "-c", "import registry; print(registry.__file__)", cwd=tmp_path)
