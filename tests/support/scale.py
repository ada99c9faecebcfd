"""How much of a long test is run."""

import os

FULL = 1.0


def scale() -> float:
    """Return MOORAGE_TEST_SCALE, 0.05 unless set."""
    return float(os.environ.get("MOORAGE_TEST_SCALE", "0.05"))


def scaled(full: int, minimum: int = 1) -> int:
    """Return that much of the full count, at least the minimum."""
    return max(minimum, round(full * scale()))


def hang_guard(seconds: int) -> int:
    """Return the timeout of a long test, none (0) in full: then all its waits watch for progress instead."""
    return 0 if scale() >= FULL else seconds
