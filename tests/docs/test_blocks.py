"""Every block of code in README.md and docs/ does what its page says (how to write them: tests/support/doc_pages.py)."""

import shutil

import pytest

from registry.testing.apps import quick_folder
from tests.support.doc_blocks import blocks_of
from tests.support.doc_pages import ROOT, Page, pages
from tests.support.doc_shell import Shell
from tests.support.doc_worlds import WORLDS, small
from tests.support.tools import tool
from tests.support.zygote import Zygote

# A page may call a dozen commands, beside whatever else runs.
pytestmark = [pytest.mark.needs_tools, pytest.mark.timeout(400)]

NEEDY = [page for page in pages() if any(block.needs for block in blocks_of(ROOT / page))]


@pytest.fixture(scope="session")
def zygote():
    with quick_folder() as folder, Zygote(folder) as zygote:
        yield zygote


@pytest.fixture(scope="session")
def worlds():
    """Registries by what makes them, each made when the first page is about it."""
    made = {}
    with quick_folder() as folder:

        def world(make):
            if make not in made:
                data = folder / make.__name__
                made[make] = (data, make(data))
            return made[make]

        yield world


@pytest.fixture
def page(zygote, worlds, monkeypatch):
    """Give the function that makes a page ready to run."""
    shells = []
    with quick_folder() as folder:

        def ready(name):
            data, variables = worlds(WORLDS.get(name, small))
            shutil.copytree(data, folder / "data")
            shells.append(Shell(folder, zygote, variables))
            monkeypatch.syspath_prepend(folder)
            return Page(name, folder, shells[0])

        yield ready
        for shell in shells:
            shell.close()


@pytest.mark.parametrize("name", pages())
def test_the_page_does_what_it_says(page, name):
    page(name).run()


@pytest.mark.parametrize("name", NEEDY)
def test_the_page_does_what_it_says_with_real_clients(page, name):
    found = page(name)
    found.missing = lambda program: not tool(program)
    found.run()
