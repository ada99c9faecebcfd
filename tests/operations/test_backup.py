"""Backups: all is in them and comes back, damage is found, and nothing is removed that one needs."""

import gzip
import json
import shutil

import pytest

from registry.backup import catalogue, checking
from registry.backup.catalogue import BackupUnusable
from registry.backup.dumps import kind_of
from registry.backup.marks import marked
from registry.backup.restoring import LEFT_OUT, SEEDED
from registry.content.deletions import Doomed
from registry.content.holds import Holds
from registry.content.keys import new_key, store_bytes
from registry.db.base import Base
from registry.digest import Digest
from registry.storage.objects import FolderObjects
from registry.testing.apps import quick_folder
from registry.testing.images import simple_image
from tests.operations.conftest import rows_of, silent
from tests.operations.test_readonly import fill
from tests.support.asking import CHIEF, world
from tests.support.cli import run

pytestmark = [pytest.mark.usefixtures("elsewhere"), pytest.mark.needs_tools]  # it starts processes


@pytest.fixture
def stored(blank):
    """Give a registry with its blobs in files."""
    with quick_folder() as found:
        shutil.copy(blank / "moorage.db", found)
        with world(found, storage_url="") as made:
            yield made


@pytest.fixture
def place(tmp_path):
    return tmp_path / "backups"


def data_of(registry):
    return str(registry.services.settings.data)


def back_up(registry, place, *flags, code=0):
    return json.loads(run("backup", str(place), "--data", data_of(registry), "--json", *flags, code=code))


def file_of(place, digest):
    return place / catalogue.blob_name(digest)


def restored(place, folder, *flags, code=0):
    return json.loads(run("restore", str(place), "--data", str(folder), "--json", *flags, code=code))


def errors_in(folder):
    return json.loads(run("fsck", "--deep", "--json", "--data", str(folder)))["errors"]


def flip(path):
    """Change one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def rows_in(folder):
    with world(folder, storage_url="") as again:
        return {name: rows for name, rows in rows_of(again.services.database).items() if name not in LEFT_OUT}


def test_all_comes_back_on_an_empty_machine(stored, place, tmp_path):
    fill(stored)
    before = {name: rows for name, rows in rows_of(stored.services.database).items() if name not in LEFT_OUT}
    made = back_up(stored, place)
    done = restored(place, tmp_path / "new")
    assert (done["backup"], done["blobs"], done["damaged"]) == (made["id"], made["blobs"], [])
    assert done["stored"] == made["blobs"] > 0
    assert rows_in(tmp_path / "new") == before
    assert errors_in(tmp_path / "new") == 0
    with world(tmp_path / "new", storage_url="") as again:
        again.user("new")  # numbers go on behind those that were restored
        header = again.as_("new")
        again.rule("new", "user:new", role="pull")
        image = simple_image("x")
        answer = again.client.get(f"/v2/team/app/blobs/{image.blobs[0].digest}", headers=header)
        assert answer.data == image.blobs[0].data


def test_a_backup_is_for_nobody_elses_eyes(stored, place):
    back_up(stored, place)
    assert {path.stat().st_mode & 0o077 for path in [place, *place.rglob("*")]} == {0}


def test_the_next_backup_copies_what_is_new(stored, place):
    stored.push("team/app", "v1", text="one")
    first = back_up(stored, place)
    stored.push("team/app", "v2", text="two")
    second = back_up(stored, place)
    third = back_up(stored, place)
    assert first["copied"] == first["blobs"]
    assert second["copied"] == second["blobs"] - first["blobs"] > 0
    assert third["copied"] == 0
    listed = json.loads(run("backup", "list", str(place), "--json"))
    assert {one["id"]: one["blobs"] for one in listed} == {one["id"]: one["blobs"] for one in (first, second, third)}


def test_backups_of_one_second_are_in_the_order_in_which_they_were_made():
    names = [catalogue.new_id(1_709_208_000_000 + later) for later in range(0, 2000, 7)]
    assert names == sorted(names)


def test_pruning_keeps_what_the_newest_need(stored, place, tmp_path):
    old = stored.push("team/old", "v1", text="old")
    back_up(stored, place)
    stored.push("team/app", "v1", text="new")
    services = stored.services
    services.purges.purge(CHIEF, Digest.parse(old.blobs[0].digest), "tried")
    kept = back_up(stored, place)
    assert file_of(place, Digest.parse(old.blobs[0].digest)).is_file()
    done = json.loads(run("backup", "prune", str(place), "--keep", "1", "--yes", "--json"))
    assert (len(done["backups"]), done["blobs"]) == (1, 1)
    assert [path.name for path in (place / "backups").iterdir()] == [kept["id"]]
    assert not file_of(place, Digest.parse(old.blobs[0].digest)).exists()
    assert json.loads(run("backup", "verify", str(place), "--json"))["wrong"] == []
    assert restored(place, tmp_path / "new")["backup"] == kept["id"]


def test_a_damaged_blob_is_found_and_mended_by_the_next_backup(stored, place):
    image = stored.push("team/app", "v1")
    back_up(stored, place)
    digest = Digest.parse(image.blobs[-1].digest)
    flip(file_of(place, digest))
    [told] = json.loads(run("backup", "verify", str(place), "--json", code=1))["wrong"]
    assert str(digest) in told
    assert back_up(stored, place)["copied"] == 0  # it is there, and as long as it should be
    assert back_up(stored, place, "--verify")["copied"] == 1
    assert "nothing wrong" in run("backup", "verify", str(place))


@pytest.mark.parametrize("which", ["manifest", "tables/tag", "cut", "gone"])
def test_a_damaged_backup_is_found_and_not_restored(stored, place, tmp_path, which):
    stored.push("team/app", "v1")
    made = back_up(stored, place)
    folder = place / "backups" / made["id"]
    if which == "manifest":
        flip(folder / "manifest.json")
    elif which == "tables/tag":
        flip(folder / "tables" / "tag.jsonl.gz")
    elif which == "cut":
        path = folder / "tables" / "manifest.jsonl.gz"
        path.write_bytes(gzip.compress(b"".join(gzip.decompress(path.read_bytes()).splitlines(keepends=True)[:-1])))
    else:
        (folder / "tables" / "blob.jsonl.gz").unlink()
    [told] = json.loads(run("backup", "verify", str(place), "--json", code=1))["wrong"]
    assert "damaged" in told
    assert "damaged" in run("restore", str(place), "--data", str(tmp_path / "new"), code=3)
    run("db", "upgrade", "--data", str(tmp_path / "new"))
    assert {name for name, rows in rows_in(tmp_path / "new").items() if rows} == SEEDED


def test_a_backup_that_was_cut_off_counts_for_nothing(stored, place, tmp_path):
    stored.push("team/app", "v1")
    first = back_up(stored, place)
    stored.push("team/app", "v2", text="two")
    second = back_up(stored, place)
    (place / "backups" / second["id"] / "manifest.json").unlink()
    states = {one["id"]: one["state"] for one in json.loads(run("backup", "list", str(place), "--json"))}
    assert states == {first["id"]: "whole", second["id"]: "unfinished"}
    assert restored(place, tmp_path / "new")["backup"] == first["id"]
    done = json.loads(run("backup", "prune", str(place), "--keep", "9", "--yes", "--json"))
    assert done["backups"] == [second["id"]]


def test_a_blob_that_the_registry_lost_is_told_of_and_put_into_quarantine(stored, place, tmp_path):
    image = stored.push("team/app", "v1")
    digest = image.blobs[-1].digest
    with stored.services.database.read() as connection:
        key = connection.exec_driver_sql(f"SELECT storage_key FROM blob WHERE digest = '{digest}'").scalar()
    stored.services.storage.delete(key)
    assert back_up(stored, place, code=1)["unreadable"] == [digest]
    assert run("backup", "verify", str(place))
    assert restored(place, tmp_path / "new", code=1)["damaged"] == [digest]
    with world(tmp_path / "new", storage_url="") as again:
        again.push("team/app", "v1")
    assert errors_in(tmp_path / "new") == 0


def test_nobody_removes_bytes_while_a_backup_is_made(stored):
    services, key = stored.services, new_key()
    store_bytes(services.storage, key, b"bytes")
    doomed = Doomed(services.storage.storage_id, key)
    services.database.write(lambda connection: services.deletions.queue(connection, 0, doomed))
    holds = Holds(services.database, 60_000)
    holds.begin("one")
    assert not services.deletions.remove_now(doomed)
    assert (services.deletions.wanted(), services.deletions.drain()) == (False, 0)
    assert services.storage.size(key) == 5
    stored.clock.now += 59_000
    assert holds.renew("one")
    stored.clock.now += 59_000
    assert services.deletions.drain() == 0
    stored.clock.now += 2_000  # it died
    assert not holds.renew("one")
    assert services.deletions.drain() == 1
    holds.begin("two")
    holds.end("two")
    assert not rows_of(services.database)["backup_hold"]


def test_a_backup_can_be_made_while_the_registry_is_read_only(stored, place, tmp_path):
    stored.push("team/app", "v1")
    stored.services.readonly.switch_on(CHIEF, "a while")
    before = rows_of(stored.services.database)
    back_up(stored, place)
    assert rows_of(stored.services.database) == before
    restored(place, tmp_path / "new")
    with world(tmp_path / "new", storage_url="") as again:
        again.push("team/app", "v2")  # what is restored takes writes


def test_only_an_empty_registry_is_filled(stored, place, tmp_path):
    stored.push("team/app", "v1")
    back_up(stored, place)
    before = rows_of(stored.services.database)
    assert "not empty" in run("restore", str(place), "--data", data_of(stored), code=3)
    assert rows_of(stored.services.database) == before
    run("db", "upgrade", "--data", str(tmp_path / "new"))
    assert restored(place, tmp_path / "new")["damaged"] == []


def test_a_restore_that_was_cut_off_goes_on(stored, place, tmp_path):
    stored.push("team/app", "v1")
    made = back_up(stored, place)
    tags = place / "backups" / made["id"] / "tables" / "tag.jsonl.gz"
    whole = tags.read_bytes()
    flip(tags)
    run("restore", str(place), "--data", str(tmp_path / "new"), code=3)
    tags.write_bytes(whole)
    some = next((tmp_path / "new" / "storage" / "blobs").rglob("?" * 32))
    some.write_bytes(b"cut off")
    assert restored(place, tmp_path / "new")["stored"] == 1
    assert errors_in(tmp_path / "new") == 0


def rewritten(place, made, **fields):
    """Change a backup's manifest, as another Moorage would have written it."""
    objects = FolderObjects(place)
    manifest = catalogue.read_manifest(objects, made["id"])
    changed = {name: getattr(manifest, name) for name in manifest.__slots__} | fields
    catalogue.write_manifest(objects, catalogue.Manifest(**changed))


def test_a_backup_of_an_older_schema_is_brought_up_to_date_and_one_of_a_newer_is_refused(stored, place, tmp_path):
    stored.push("team/app", "v1")
    made = back_up(stored, place)
    tables = catalogue.read_manifest(FolderObjects(place), made["id"]).tables
    older = tuple(table for table in tables if table.name not in ("read_only", "backup_hold"))
    rewritten(place, made, revision="0007", tables=older)
    assert restored(place, tmp_path / "new")["blobs"] == made["blobs"]
    assert "up to date" in run("db", "status", "--data", str(tmp_path / "new"))
    assert errors_in(tmp_path / "new") == 0
    run("db", "upgrade", "--data", str(tmp_path / "other"))
    assert "without any" in run("restore", str(place), "--data", str(tmp_path / "other"), code=3)
    rewritten(place, made, revision="9999", version="9.9")
    assert "newer Moorage, 9.9" in run("restore", str(place), "--data", str(tmp_path / "third"), code=3)


def test_a_place_of_other_things_is_refused(stored, place):
    place.mkdir()
    (place / "mine").write_text("x")
    told = run("backup", str(place), "--data", data_of(stored), code=3)
    assert "other things than backups" in told
    assert "no backups are there" in run("backup", "list", str(place), code=3)
    assert "no folder" in run("restore", str(place / "no"), code=3)
    run("backup", "ftp://x/y", "--data", data_of(stored), code=2)


def test_a_place_is_not_pruned_while_a_backup_is_made_and_the_other_way_round(stored, place, monkeypatch):
    stored.push("team/app", "v1")
    made = back_up(stored, place)
    objects = FolderObjects(place)
    busy = f"backups/{made['id'][:-8]}00000000/under-way.json"
    with marked(objects, busy), pytest.raises(BackupUnusable, match="being made"):
        checking.prune(objects, 1)
    with marked(objects, catalogue.PRUNING):
        assert "being pruned" in run("backup", str(place), "--data", data_of(stored), code=3)
    objects.put(busy, [json.dumps({"time_ms": 0}).encode()])
    assert checking.prune(objects, 1).backups == [busy.split("/")[1]]
    assert [one.state for one in checking.listed(objects)] == ["whole"]


def test_a_backup_that_was_silent_for_too_long_is_none(stored, place):
    stored.push("team/app", "v1")
    objects = FolderObjects(place)

    def late(what, _done, _total):
        if what == "blobs":
            stored.clock.now += 3_600_000

    with pytest.raises(BackupUnusable, match="silent for too long"):
        stored.services.backups.make(CHIEF, objects, verify=False, progress=late)
    assert not any(catalogue.backups(objects).values())
    stored.services.backups.make(CHIEF, objects, verify=False, progress=silent)
    assert checking.verify(objects, None, silent).wrong == []


@pytest.mark.parametrize("name", sorted(Base.metadata.tables))
def test_every_table_can_be_kept(name):
    table = Base.metadata.tables[name]
    assert [kind_of(column) for column in table.columns]
    assert len(table.primary_key.columns) > 0


def test_only_known_tables_have_rows_in_an_empty_registry(stored):
    assert {name for name, rows in rows_of(stored.services.database).items() if rows} == SEEDED
