"""The command line, run in the test's own process."""

from click.testing import CliRunner

from registry.cli import main


def run(*words: str, code: int = 0) -> str:
    """Run ``moorage`` with words; return what it prints, once it ended with ``code`` and showed no traceback."""
    result = CliRunner().invoke(main, words, prog_name="moorage")
    if result.exit_code != code or "Traceback" in result.output:
        raise AssertionError(f"moorage {' '.join(words)} ended with {result.exit_code}:\n{result.output}")
    return result.output
