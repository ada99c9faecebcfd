import pytest

from registry.storage.memory import MemoryStorage, open_memory
from tests.storage.contract import StorageContract


class TestMemoryStorage(StorageContract):
    @pytest.fixture
    def driver(self):
        return MemoryStorage()


def test_it_takes_no_options():
    with pytest.raises(ValueError, match="remove size"):
        open_memory("memory:", {"size": "1"})
