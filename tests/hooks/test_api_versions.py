"""The plugin API only grows within a major version: what was written for an earlier minor one runs unchanged.

``signatures/`` has a record of every earlier version: what it consisted of (``1.0.json``, as
:mod:`registry.hooks.inventory` reads it), and plugins written for it. A new minor version records the one before it.
"""

import dataclasses
import importlib.util
import json
import re
from pathlib import Path

import pytest

from registry.errors import Denied, ManifestInvalid
from registry.hooks import API_VERSION
from registry.names import RepositoryName
from registry.testing.content import DictContent
from registry.testing.images import Blob, artifact, image, layer, simple_image, to_json
from scripts.docs import plugin_api

ROOT = Path(__file__).resolve().parents[2]
RECORDED = Path(__file__).parent / "signatures"
MAJOR, MINOR = map(int, API_VERSION.split("."))
EARLIER = [f"{MAJOR}.{minor}" for minor in range(MINOR)]
OF_PLUGINS = {
    "StorageDriver",
    "UploadWriter",
    "StorageFactory",
    "OpensFiles",
    "PrefersChunks",
    "ListsKeys",
    "RemovesMany",
    "ListsUploads",
    "GivesUrls",
    "TriesCalls",
}
"""What plugins implement: a method more would be one that they lack."""


def now():
    return dataclasses.asdict(plugin_api.inventory())


def recorded(version):
    return json.loads((RECORDED / f"{version}.json").read_text())


def load(name):
    spec = importlib.util.spec_from_file_location(f"recorded_{name}", RECORDED / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def broken(earlier, later):
    """Return what a plugin written for ``earlier`` may miss in ``later``."""
    wrong = [f"{name} is gone" for name in earlier["names"] if name not in later["names"]]
    for hook, arguments in earlier["hooks"].items():
        wrong += [f"{hook} lacks {one}" for one in arguments if one not in later["hooks"].get(hook, ())]
        wrong += [f"hook {hook} is gone"] * (hook not in later["hooks"])
    for name, fields in earlier["fields"].items():
        found = later["fields"].get(name, [])
        wrong += [f"{name} has other fields"] * (_as_given(found[: len(fields)], fields) is False)
        wrong += [f"{name}.{one} has no default" for one in found[len(fields) :] if not one.endswith("=")]
    for name, methods in earlier["methods"].items():
        found = later["methods"].get(name, {})
        for method, parameters in methods.items():
            same = method in found and _as_given(found[method][: len(parameters)], parameters)
            wrong += [f"{name}.{method} is called otherwise"] * (not same)
            further = found.get(method, [])[len(parameters) :]
            wrong += [f"{name}.{method} needs {one}" for one in further if not one.endswith("=") or name in OF_PLUGINS]
        if name in OF_PLUGINS:
            wrong += [f"{name} needs {one}" for one in found if one not in methods]
    for kind in ("further", "events"):
        for name, parts in earlier.get(kind, {}).items():
            wrong += [f"{name} lacks {one}" for one in parts if one not in later[kind].get(name, ())]
            wrong += [f"{name} is gone"] * (name not in later[kind])
    for name, members in earlier["members"].items():
        wrong += [f"{name} lacks {one}" for one in members if one not in later["members"].get(name, ())]
    return wrong


def _as_given(found, earlier):
    """Tell whether what was given in this order, and left out, can still be."""
    return [one.rstrip("=") for one in found] == [one.rstrip("=") for one in earlier] and all(
        later.endswith("=") for later, one in zip(found, earlier, strict=True) if one.endswith("=")
    )


def added(earlier, later):
    """Return what ``later`` has and ``earlier`` has not, as notes name it."""
    found = {name for name in later["names"] if name not in earlier["names"]}
    found |= {hook for hook in later["hooks"] if hook not in earlier["hooks"]}
    for kind, mark in (("hooks", ""), ("fields", "="), ("members", "")):
        for name, parts in later[kind].items():
            if name in earlier[kind]:
                before = {one.rstrip(mark or None) for one in earlier[kind][name]}
                found |= {f"{name}.{one.rstrip('=')}" for one in parts if one.rstrip("=") not in before}
    for kind, whole in (("further", "registry.testing"), ("events", "org.moorage")):
        before = earlier.get(kind)
        if not before:  # all of it is new, and the page of the plugin API lists it
            found.add(whole)
            continue
        for name, parts in later[kind].items():
            found |= {f"{name}.{one}" for one in parts if one not in before[name]} if name in before else {name}
    for name, methods in later["methods"].items():
        if name in earlier["methods"]:
            found |= {f"{name}.{method}" for method in methods if method not in earlier["methods"][name]}
    return found


def test_every_earlier_minor_version_is_recorded():
    assert sorted(path.stem for path in RECORDED.glob("*.json")) == EARLIER
    for version in EARLIER:
        assert list(RECORDED.glob(f"*_{version.replace('.', '_')}.py")), f"record a plugin written for {version}"


@pytest.mark.parametrize("version", EARLIER)
def test_nothing_is_taken_from_an_earlier_version(version):
    assert broken(recorded(version), now()) == []


def test_every_addition_has_a_note_in_the_changelog():
    text = (ROOT / "CHANGELOG.md").read_text()
    notes = text.partition(f"### Plugin API {API_VERSION}\n")[2].partition("\n#")[0]
    assert notes, f"write a section `### Plugin API {API_VERSION}`"
    noted = set(re.findall(r"`([\w.]+)`", notes))
    new = added(recorded(EARLIER[-1]), now())
    assert new - noted == set(), "note these in the changelog"
    assert {one for one in noted if one.partition(".")[0] in {*now()["names"], *now()["hooks"]}} - new == set()


CHANGES = {
    "name": lambda api: api["names"].remove("Digest"),
    "hook": lambda api: api["hooks"].pop("label_actions"),
    "argument": lambda api: api["hooks"]["legacy_images"].remove("taken"),
    "renamed argument": lambda api: api["hooks"].update(parse_manifest=["kind", "payload"]),
    "field": lambda api: api["fields"]["Layer"].remove("size"),
    "order of fields": lambda api: api["fields"]["Layer"].reverse(),
    "default": lambda api: api["fields"].update(Pin=["for_ever"]),
    "default taken away": lambda api: api["fields"].update(Platform=["os", "architecture", "variant"]),
    "parameter": lambda api: api["methods"]["ContentReader"].update(read=["digest"]),
    "another parameter": lambda api: api["methods"]["ContentReader"].update(read=["digest", "limit=", "start"]),
    "method": lambda api: api["methods"]["Digest"].pop("parse"),
    "method that drivers lack": lambda api: api["methods"]["StorageDriver"].update(rename=["key"]),
    "argument that drivers do not take": lambda api: api["methods"]["StorageDriver"].update(size=["key", "cached="]),
    "effect": lambda api: api["members"]["Effect"].remove("Pin"),
    "event": lambda api: api["events"].pop("org.moorage.tag.changed"),
    "data of an event": lambda api: api["events"]["org.moorage.tag.changed"].remove("digest"),
    "helper for tests": lambda api: api["further"]["registry.testing.clock"].remove("Clock"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_would_break_a_plugin_is_found(change):
    before, api = now(), now()
    change(api)
    assert broken(before, api)


def test_additions_are_found_and_break_nothing():
    api = now()
    before = now()
    api["names"].append("Crate")
    api["hooks"]["crates"] = []
    api["hooks"]["parse_manifest"].append("crate")
    api["fields"]["Layer"].append("crate=")
    api["methods"]["ContentReader"]["crate"] = []
    api["members"]["Effect"].append("Crate")
    api["further"]["registry.testing.clock"].append("Calendar")
    api["further"]["registry.testing.crates"] = ["Crate"]
    api["events"]["org.moorage.tag.changed"].append("crate")
    api["events"]["org.moorage.crate.opened"] = []
    assert broken(before, api) == []
    assert added(before, api) == {
        "Crate",
        "crates",
        "parse_manifest.crate",
        "Layer.crate",
        "ContentReader.crate",
        "Effect.Crate",
        "registry.testing.clock.Calendar",
        "registry.testing.crates",
        "org.moorage.tag.changed.crate",
        "org.moorage.crate.opened",
    }


def test_a_format_for_1_0_runs_unchanged(with_plugins):
    plugin = load("plugin_1_0")
    direct = with_plugins(plugin)
    page = Blob(b"a page", "text/plain")
    direct.upload(page)
    payload = to_json({"text": "buy rope", "page": page.digest, "size": 6, "stage": "nightly"})
    client = direct.app.test_client()
    assert client.put("/v2/team/app/manifests/v1", data=payload, content_type=plugin.NOTE).status_code == 201
    assert direct.periods("v1")[0].ending is not None
    converted = client.get("/v2/team/app/manifests/v1", headers={"Accept": "text/plain"})
    assert (converted.status_code, converted.data) == (200, b"team/app:v1 buy rope")
    refused = client.put("/v2/team/app/manifests/v2", data=b"{}", content_type=plugin.NOTE)
    assert (refused.status_code, refused.json["errors"][0]["message"]) == (400, "a note needs a text")
    hooks = direct.services.hooks
    (layer,) = hooks.layers(hooks.parse(plugin.NOTE, payload), DictContent())
    assert layer.size == 6
    assert set(recorded("1.0")["hooks"]) == plugin.CALLED


def test_labels_for_1_1_run_unchanged(with_plugins):
    direct = with_plugins(load("plugin_1_1"))
    stages = {
        stage: image(layer({"a": b"a"}), labels={"org.example.eleven": stage})
        for stage in ("nightly", "golden", "released", "odd")
    }
    for stage, made in stages.items():
        direct.push(made, stage)
    assert direct.periods("nightly")[0].ending is not None
    with pytest.raises(Denied):
        direct.delete_tag("released")
    assert direct.column("SELECT count(*) FROM manifest WHERE label_pin") == [1]
    assert "is one of: nightly" in direct.labels(stages["odd"])["org.example.eleven"].warning


def test_admission_and_observers_for_1_2_run_unchanged(with_plugins):
    plugin = load("plugin_1_2")
    direct = with_plugins(plugin, plugins={plugin.__name__: {"closed": ["team/closed"]}})
    made = image(layer({"a": b"a"}))
    direct.push(made, "v1")
    with pytest.raises(Denied, match="no latest"):
        direct.push(made, "latest")
    with pytest.raises(ManifestInvalid, match="one file and its config"):
        direct.push(artifact(plugin.TYPE, Blob(b"one"), Blob(b"two")))
    model = artifact(plugin.TYPE, Blob(b"weights"))
    direct.push(model)
    assert direct.labels(model)["org.example.twelve"].value == "yes"
    dispatcher, context = direct.services.dispatcher("worker"), direct.services.contexts(plugin.__name__)
    while context.store.get("seen") is None:
        dispatcher.run_due()
        direct.clock.now += 60_000
    assert context.store.get("seen").value == {"subject": "v1", "digest": made.digest}
    direct.push(image(layer({"a": b"b"}), labels={"org.example.secret": "1"}), "v2")
    with pytest.raises(Denied, match="secret"):
        direct.get("v2")
    direct.repository = RepositoryName.parse("team/closed")
    with pytest.raises(Denied, match="team/closed is closed"):
        direct.push(made, "v1")


@pytest.mark.parametrize("version", ["1_0", "1_1", "1_2"])
def test_a_driver_for_an_earlier_version_runs_unchanged(with_plugins, make_plugin, version):
    driver = load(f"driver_{version}")
    drivers = make_plugin("drivers", storage_drivers=lambda: {"recorded": driver.open_memory})
    direct = with_plugins(drivers, storage_url="recorded:")
    made = simple_image("a")
    direct.push(made, "v1")
    client = direct.app.test_client()
    assert client.get("/v2/team/app/manifests/v1").data == made.data
    blob = made.blobs[0]
    assert client.get(f"/v2/team/app/blobs/{blob.digest}").data == blob.data


def test_a_plugin_with_every_argument_of_every_hook_is_loaded(with_plugins, make_plugin):
    names = {hook: ", ".join(arguments) for hook, arguments in now()["hooks"].items()}
    functions = {hook: eval(f"lambda {arguments}: None") for hook, arguments in names.items()}
    plugin = make_plugin("all", **functions)
    status = {status.name: status for status in with_plugins(plugin).services.plugins}["all"]
    assert (status.state, set(status.hooks)) == ("active", set(names))
