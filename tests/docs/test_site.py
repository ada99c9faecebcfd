"""The site of docs/: every page is in its navigation, every link leads somewhere, and nothing comes from elsewhere."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from scripts.docs.nav import expanded

pytestmark = pytest.mark.needs_tools  # they need none, but take long

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
# What a browser fetches by itself, by element; a link that somebody clicks is none of these.
FETCHED = {
    "link": "href",
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "use": "href",
}
_REMOTE = re.compile(r"^(?:[a-z]+:)?//", re.IGNORECASE)
_IN_STYLE = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)")
_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s#]+)(#[^)\s]*)?\)")


def listed(entry):
    if isinstance(entry, str):
        yield entry
    for inner in entry.values() if isinstance(entry, dict) else entry if isinstance(entry, list) else ():
        yield from listed(inner)


def test_the_navigation_names_every_page_once():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    named = sorted(listed(expanded(nav, DOCS)))
    assert named == sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


def test_a_folder_of_the_navigation_becomes_its_pages_with_the_index_first(tmp_path):
    (tmp_path / "cli").mkdir()
    for name in ("blob", "index", "serve"):
        (tmp_path / "cli" / f"{name}.md").touch()
    nav = [{"Reference": ["api.md", {"Commands": "cli/"}]}]
    pages = ["cli/index.md", "cli/blob.md", "cli/serve.md"]
    assert expanded(nav, tmp_path) == [{"Reference": ["api.md", {"Commands": pages}]}]


def test_what_the_readme_links_to_is_there():
    for target, anchor in _LINK.findall((ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
        assert not anchor, "headings of other pages are checked in the site alone"


class Fetches(HTMLParser):
    """Collects what a page makes a browser fetch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag in FETCHED and given.get(FETCHED[tag]) and given.get("rel") not in ("canonical", "prev", "next"):
            self.found.append(given[FETCHED[tag]])
        self.found += _IN_STYLE.findall(given.get("style") or "")
        assert "mermaid" not in (given.get("class") or ""), "the theme would fetch what draws it: use a drawing"

    def handle_data(self, data):
        self.found += _IN_STYLE.findall(data) if self.lasttag == "style" else []


def fetches(text):
    parser = Fetches()
    parser.feed(text)
    return [address for address in parser.found if _REMOTE.match(address)]


def test_a_page_that_fetches_from_elsewhere_is_found():
    assert fetches('<link rel="stylesheet" href="https://fonts.example/a.css">') == ["https://fonts.example/a.css"]
    assert fetches('<script src="//cdn.example/x.js"></script>') == ["//cdn.example/x.js"]
    assert fetches("<style>@import 'https://x.example/y.css'</style>") == ["https://x.example/y.css"]
    assert fetches('<a href="https://x.example">x</a><script src="assets/x.js"></script>') == []


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    argv = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_site_is_made_without_a_warning_and_fetches_nothing_from_elsewhere(site):
    pages = [path for path in site.rglob("*.html") if path.name != "404.html"]
    assert len(pages) == len(list(DOCS.rglob("*.md")))
    for path in site.rglob("*.html"):
        assert fetches(path.read_text()) == [], path
    for path in site.rglob("*.css"):
        assert _IN_STYLE.findall(path.read_text()) == [], path
    assert (site / "search" / "search_index.json").is_file()
