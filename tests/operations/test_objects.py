"""Where backups are kept: folders and buckets do the same."""

import contextlib
import secrets

import pytest
from moto.server import ThreadedMotoServer

from registry.backup.objects import read_all
from registry.hooks import KeyMissing, StorageError
from registry.storage.objects import FolderObjects
from registry.storage.s3 import open_bucket
from registry.storage.s3_objects import BucketObjects

MIB = 1 << 20


@pytest.fixture(scope="module")
def bucket_options():
    """Give the settings of an S3 service in this process, with a bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {
        "endpoint_url": f"http://{host}:{port}",
        "region": "us-east-1",
        "access_key_id": "test",
        "secret_access_key": "testtest",
    }
    with contextlib.closing(open_bucket("s3://backups", options)._client) as client:
        client.create_bucket(Bucket="backups")
    yield options
    server.stop()


@pytest.fixture(params=["folder", "bucket"])
def objects(request, tmp_path):
    if request.param == "folder":
        return FolderObjects(tmp_path / "backups")
    return BucketObjects(f"s3://backups/{secrets.token_hex(8)}", request.getfixturevalue("bucket_options"))


def broken():
    yield b"x" * (9 * MIB)
    yield b"y" * (9 * MIB)
    raise ValueError("broken off")


def test_what_is_put_is_read_listed_and_removed(objects):
    long = secrets.token_bytes(17 * MIB)
    objects.put("blobs/sha256/ab/abcd", [long[:MIB], long[MIB:]])
    objects.put("backups/one/manifest.json", [b"first"])
    objects.put("backups/one/manifest.json", [b"sec", b"ond"])
    objects.put("backups/two/empty", [])
    assert read_all(objects, "blobs/sha256/ab/abcd", 20 * MIB) == long
    assert read_all(objects, "backups/one/manifest.json", 100) == b"second"
    assert read_all(objects, "backups/two/empty", 0) == b""
    assert sorted(objects.listed("backups")) == [("backups/one/manifest.json", 6), ("backups/two/empty", 0)]
    assert sorted(objects.listed(""))[2:] == [("blobs/sha256/ab/abcd", 17 * MIB)]
    objects.delete("backups/two/empty")
    objects.delete("backups/two/empty")
    assert [name for name, _ in objects.listed("backups")] == ["backups/one/manifest.json"]
    with pytest.raises(KeyMissing):
        objects.read("backups/two/empty")
    with pytest.raises(ValueError, match="longer"):
        read_all(objects, "backups/one/manifest.json", 5)


def test_what_breaks_off_is_not_there_and_what_was_stays(objects):
    objects.put("a/b", [b"before"])
    for name in ("a/b", "a/c"):
        with pytest.raises(ValueError, match="broken off"):
            objects.put(name, broken())
    assert sorted(objects.listed("")) == [("a/b", 6)]
    assert read_all(objects, "a/b", 10) == b"before"


def test_what_killed_processes_left_is_swept(objects, monkeypatch):
    objects.put("a/b", [b"before"])
    with monkeypatch.context() as patched, pytest.raises(ValueError, match="broken off"):
        if isinstance(objects, FolderObjects):
            patched.setattr("pathlib.Path.unlink", lambda *_, **__: None)
        else:
            patched.setattr(type(objects._bucket), "abort_multipart", lambda *_: None)
        objects.put("a/c", broken())
    assert sorted(objects.listed("")) == [("a/b", 6)]
    objects.sweep()
    if isinstance(objects, FolderObjects):
        assert [path.name for path in objects._root.rglob("*") if path.is_file()] == ["b"]
    else:
        assert list(objects._bucket.listed_multiparts()) == []


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot make"):
        FolderObjects(tmp_path / "file")
