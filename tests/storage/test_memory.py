import pytest

from registry.hooks import ListsKeys
from registry.storage.memory import MemoryStorage, open_memory
from registry.testing.contracts.storage import StorageDriverContract


class TestMemoryStorage(StorageDriverContract):
    @pytest.fixture
    def driver(self):
        return MemoryStorage()


def test_it_lists_its_keys():
    assert isinstance(MemoryStorage(), ListsKeys)


def test_it_takes_no_options():
    with pytest.raises(ValueError, match="remove size"):
        open_memory("memory:", {"size": "1"})
