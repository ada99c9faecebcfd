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


def test_the_readmes_plugin_is_a_plugin_of_twenty_lines():
    text = (ROOT / "README.md").read_text()
    code = text.partition("## A plugin in twenty lines")[2].partition("```python\n")[2].partition("```")[0]
    assert len(code.strip().splitlines()) <= 22
    namespace = {}
    exec(code, namespace)
    note = namespace["parse_manifest"](namespace["NOTE"], b'{"text": "buy rope", "today": true}')
    assert namespace["label_actions"]()[0].key in note.annotations
