"""Definitions of rules, as arguments of commands and as files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from registry.cli.common import FlagRefused


def read_definition(text: str, example: str = '{"to": ["team:builders"], "role": "push"}') -> dict[str, Any]:
    """Read JSON, or the file ``@FILE``; raises :class:`FlagRefused`, which shows ``example``."""
    try:
        found = json.loads(Path(text[1:]).read_text() if text.startswith("@") else text)
    except OSError as error:
        raise FlagRefused(f"cannot read {text[1:]}: {error.strerror}") from None
    except ValueError as error:
        raise FlagRefused(f"the definition is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise FlagRefused(f"the definition must be a JSON object such as {example}")
    return found


def read_policy(file: str) -> dict[str, Any]:
    """Read all rules from a TOML file, or (``-``) from standard input; raises :class:`FlagRefused`."""
    import tomllib  # noqa: PLC0415 - only who runs a command waits for its imports

    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        found = tomllib.loads(text)
        json.dumps(found, allow_nan=False)
    except OSError as error:
        raise FlagRefused(f"cannot read {file}: {error.strerror}") from None
    except TypeError:
        raise FlagRefused(f'{file}: times and dates are written as text: from = "08:30"') from None
    except ValueError as error:
        raise FlagRefused(f"{file}: {error}") from None
    for name, rule in found.items():
        if not isinstance(rule, dict):
            raise FlagRefused(f"{file}: {name} is no table: a rule is [{name}], and fields below it")
    return found
