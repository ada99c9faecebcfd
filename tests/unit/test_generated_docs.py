"""Pages that repeat code are generated from it, and committed as generated."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("generate_docs", ROOT / "scripts" / "generate_docs.py")
generate_docs = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(generate_docs)


@pytest.mark.parametrize("name", sorted(generate_docs.PAGES))
def test_the_page_is_up_to_date(name):
    assert (ROOT / "docs" / name).read_text() == generate_docs.PAGES[name](), "run scripts/generate_docs.py"


def test_the_label_that_docs_make_is_a_plugin_of_ten_lines_and_passes_its_test():
    own = (ROOT / "docs" / "labels.md").read_text().partition("## Your own")[2]
    code, test = (block.partition("```")[0] for block in own.split("```python\n")[1:])
    assert len([line for line in code.splitlines() if line]) <= 10
    namespace = {}
    exec(code, namespace)
    exec(test, namespace)
    assert [action.key for action in namespace["label_actions"]()] == ["com.example.branch"]


def test_the_readmes_plugin_is_a_plugin_of_twenty_lines():
    text = (ROOT / "README.md").read_text()
    code = text.partition("## A plugin in twenty lines")[2].partition("```python\n")[2].partition("```")[0]
    assert len(code.strip().splitlines()) <= 22
    namespace = {}
    exec(code, namespace)
    note = namespace["parse_manifest"](namespace["NOTE"], b'{"text": "buy rope", "today": true}')
    assert namespace["label_actions"]()[0].key in note.annotations
