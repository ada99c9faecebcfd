"""The driver keeps the contract of storage drivers, and serves a registry."""

import pytest
from registry.testing.contracts import StorageDriverContract
from registry.testing.images import image, layer

import moorage_fsspec


@pytest.fixture
def url(tmp_path):
    return f"fsspec:file://{tmp_path}"


class TestOnFiles(StorageDriverContract):
    memory_bound = 4 * 1024 * 1024

    @pytest.fixture
    def driver(self, url):
        return moorage_fsspec.open_fsspec(url, {})

    @pytest.fixture
    def reopen(self, url):
        return lambda: moorage_fsspec.open_fsspec(url, {})


class TestInMemory(StorageDriverContract):
    @pytest.fixture
    def driver(self):
        return moorage_fsspec.open_fsspec("fsspec:memory://registry", {})


@pytest.fixture
def moorage_plugins():
    return [moorage_fsspec]


@pytest.fixture
def moorage_settings(url):
    return {"storage_url": url}


def test_a_registry_keeps_its_blobs_there(moorage_client, tmp_path):
    pushed = moorage_client.push("team/app", image(layer({"file": b"1"})), "v1")
    assert moorage_client.everything("team/app", "v1") == pushed.everything()
    assert len(list((tmp_path / "blobs").iterdir())) == 2


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("fsspec:/tmp", "names no file system"),
        ("fsspec:nothing://tmp", "Protocol not known"),
    ],
)
def test_what_cannot_be_opened_says_why(wrong, reason):
    with pytest.raises(ValueError, match=reason):
        moorage_fsspec.open_fsspec(wrong, {})
