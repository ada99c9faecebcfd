"""Definitions of rules, as arguments of commands."""

from __future__ import annotations

import json
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
