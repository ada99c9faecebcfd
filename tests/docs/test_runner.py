"""That blocks are run: a page that is wrong is refused, and told where."""

import re

import pytest

from registry.settings import SettingsError
from tests.support.doc_blocks import blocks_of
from tests.support.doc_pages import Page
from tests.support.doc_shell import is_whole


class Told:
    """A shell that answers as it is told, and keeps what it was asked."""

    def __init__(self, folder, **answers):
        self.site = folder
        self.asked = []
        self.answers = answers

    def run(self, command):
        self.asked.append(command)
        return self.answers.get(command.partition(" ")[0], ("", 0))


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Give the function that runs a page of this text and returns its shell."""
    monkeypatch.syspath_prepend(tmp_path)

    def text_run(text, missing=lambda _: True, **answers):
        path = tmp_path / "page.md"
        path.write_text(text)
        shell = Told(tmp_path, **answers)
        Page(str(path), tmp_path, shell, missing).run()
        return shell

    return text_run


def fenced(language, text, above=""):
    return f"Text.\n\n{above}\n```{language}\n{text}\n```\n"


@pytest.mark.parametrize(
    ("language", "text", "error", "told"),
    [
        ("", "ls", AssertionError, r"page\.md:5: say what this is"),
        ("ruby", "puts 1", AssertionError, r"page\.md:5: say what this is"),
        ("python", "raise OSError('wrong')", OSError, "wrong"),
        (
            "python",
            "from registry.hooks import hookimpl\n\n@hookimpl\ndef label_action():\n    return []",
            Exception,
            "label_action",
        ),
        (
            "python",
            "from registry.hooks import hookimpl\n\n@hookimpl\ndef parse_manifest(kind):\n    return None",
            Exception,
            "kind",
        ),
        ("python", "def test_x():\n    assert False", AssertionError, "1 failed"),
        ("toml", 'listn = "127.0.0.1:5000"', SettingsError, "listn"),
        ("toml", "x =", ValueError, "Invalid value"),
        ("json", "{", ValueError, "property name"),
        ("yaml", "a: [", Exception, "flow node"),
        ("bash", "fails", AssertionError, r"page\.md:5: fails"),
        ("bash", "ls 'x", ValueError, "does not end"),
        ("console", "ls", ValueError, "before each command"),
        ("console", "$ says\nanother", AssertionError, "is shown with"),
        ("console", "$ fails\n...", AssertionError, "ended with 1"),
    ],
)
def test_a_block_that_is_wrong_is_refused(run, language, text, error, told):
    with pytest.raises(error, match=told):
        run(fenced(language, text), fails=("no\n", 1), says=("one\n", 0))


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("one", "one\n"),
        ("one two", " one    two \n ─────────── \n"),
        ("...", ""),
        ("...\nlast", "first\nsecond\nlast\n"),
        ("first\n...", "first\n"),
        ("first\n...\nlast", "first\nlast\n"),
        ('{"name": ...}', '{"name": "v1", "digest": "x"}\n'),
        ("sizes ... active ...", "sizes active own\n"),
        ("sha256:b8ae…  goes", "sha256:b8ae5266 goes\n"),
    ],
)
def test_what_is_shown_is_compared_loosely(run, shown, printed):
    run(fenced("console", f"$ says\n{shown}"), says=(printed, 0))


@pytest.mark.parametrize(
    ("shown", "printed"), [("one", "one\ntwo\n"), ("one\n...", "two\none\n"), ("a ... c", "a\nb c\n"), ("v1", "v10\n")]
)
def test_it_is_compared_all_the_same(run, shown, printed):
    with pytest.raises(AssertionError, match="is shown with"):
        run(fenced("console", f"$ says\n{shown}"), says=(printed, 0))


def test_a_command_may_fail_where_the_page_shows_how(run):
    run(fenced("console", "$ fails\nError: no"), fails=("Error: no\n", 1))


def test_commands_are_run_one_by_one_and_whole(run):
    text = "ls \\\n  -l\nfor x in a b; do\n  echo $x\ndone\n# a remark\n\necho 'two\nlines'"
    asked = ["ls \\\n  -l", "for x in a b; do\n  echo $x\ndone", "# a remark", "echo 'two\nlines'"]
    assert run(fenced("bash", text)).asked == asked


def test_what_is_not_run_is_checked_for_its_syntax(run):
    assert run(fenced("bash", "fails", "<!-- not run: needs a sea -->"), fails=("", 1)).asked == []
    with pytest.raises(SyntaxError):
        run(fenced("python", "x =", "<!-- not run: needs a sea -->"))
    with pytest.raises(ValueError, match="does not end"):
        run(fenced("bash", "ls 'x", "<!-- not run: needs a sea -->"))
    with pytest.raises(ValueError, match="say why"):
        run(fenced("bash", "ls", "<!-- not run -->"))


def test_what_needs_a_program_is_run_where_it_is(run):
    page = fenced("bash", "crane ls", "<!-- needs crane, docker -->")
    assert run(page).asked == []
    assert run(page, missing=lambda program: program == "docker").asked == []
    assert run(page, missing=lambda _: False).asked == ["crane ls"]


def test_a_mark_holds_for_the_block_below_it_alone(run):
    page = fenced("bash", "one", "<!-- not run: needs a sea -->") + fenced("bash", "two")
    assert run(page).asked == ["two"]
    assert run(f"<!-- not run: needs a sea -->\n\nText.\n\n{fenced('bash', 'one')}").asked == ["one"]


def test_a_page_prepares_its_registry_unseen(run):
    page = f"<!-- before: one --yes -->\n\n<!--\na remark\n-->\n\n{fenced('bash', 'two')}"
    assert run(page).asked == ["one --yes", "two"]
    with pytest.raises(AssertionError, match=re.escape("page.md:1: fails")):
        run("<!-- before: fails -->\n", fails=("", 1))


def test_a_title_makes_a_file_that_later_blocks_find(run, tmp_path):
    page = fenced('python title="moorage_made.py"', "X = 1") + fenced("python", "from moorage_made import X\nassert X")
    run(page)
    assert (tmp_path / "moorage_made.py").read_text() == "X = 1\n"


def test_blocks_share_their_page(run):
    run(fenced("python", "x = 1") + fenced("python", "assert x == 1"))


def test_blocks_in_lists_and_longer_fences_are_found(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("- a\n\n  ```bash\n  ls\n    -l\n  ```\n\n````text\n```bash\nno\n```\n````\n")
    assert [(block.language, block.text) for block in blocks_of(path)] == [
        ("bash", "ls\n  -l\n"),
        ("text", "```bash\nno\n```\n"),
    ]
    path.write_text("```bash\nls\n")
    with pytest.raises(ValueError, match="line 1: this block does not end"):
        blocks_of(path)


@pytest.mark.parametrize(
    ("command", "whole"), [("ls", True), ("ls \\", False), ("if true; then", False), ("cat <<E\nx", False), ("", True)]
)
def test_a_whole_command_is_told_from_a_beginning(command, whole):
    assert is_whole(command) is whole
