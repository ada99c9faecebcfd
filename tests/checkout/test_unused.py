"""What is offered is used: a setting that changes nothing and an error that nobody gets promise what is not there."""

import re
from pathlib import Path

import pytest

from registry import errors
from registry.settings import FIELDS

PACKAGE = Path(errors.__file__).parent
ERRORS = sorted(name for name, found in vars(errors).items() if isinstance(found, type))


def text_without(*names: str) -> str:
    """Return the package's code but for some modules."""
    return "\n".join(path.read_text() for path in PACKAGE.rglob("*.py") if path.name not in names)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_each_setting_is_read(name):
    assert re.search(rf"\b_?settings\.{name}\b", text_without("settings.py")), name


@pytest.mark.parametrize("name", ERRORS)
def test_each_error_is_raised(name):
    assert re.search(rf"\b{name}\b", text_without("errors.py")), name
