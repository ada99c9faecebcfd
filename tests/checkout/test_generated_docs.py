"""Pages that repeat code are generated from it, and committed as generated."""

from pathlib import Path

import pytest

from scripts.docs import DOCS, pages, superfluous
from scripts.docs.markdown import markdown, split_example

ROOT = Path(__file__).resolve().parents[2]
PAGES = pages()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_page_is_up_to_date(name):
    assert (DOCS / name).read_text() == PAGES[name], "run scripts/generate_docs.py"


def test_folders_of_generated_pages_hold_no_other():
    assert superfluous(PAGES) == []
    assert superfluous(set(PAGES) - {"hooks/jobs.md"}) == ["hooks/jobs.md"]


def test_a_type_that_has_more_from_another_says_so():
    about = PAGES["plugin-api.md"].partition("## RepositoryReader\n")[2].partition("\n## ")[0]
    assert "It is a [`ContentReader`](#contentreader), too" in about


def test_docstrings_become_markdown():
    text = "Raises :class:`~registry.hooks.Denied` with ``push``; see :func:`jobs`."
    linked = markdown(text, lambda name: f"{name}.md" if name == "jobs" else "")
    assert linked == "Raises `Denied` with `push`; see [`jobs`](jobs.md)."
    assert split_example("Do it::\n\n    x = 1\n") == ("Do it", "x = 1")


def test_the_label_that_docs_make_is_a_plugin_of_ten_lines():
    own = (ROOT / "docs" / "labels.md").read_text().partition("## Your own")[2]
    code = own.partition("```python")[2].partition("\n")[2].partition("```")[0]
    assert len([line for line in code.splitlines() if line]) <= 10


def test_the_readmes_plugin_is_a_plugin_of_twenty_lines():
    text = (ROOT / "README.md").read_text()
    code = text.partition("## A plugin in twenty lines")[2].partition("```python")[2].partition("\n")[2]
    assert len(code.partition("```")[0].strip().splitlines()) <= 22
