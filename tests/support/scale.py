"""How much of a long test is run."""

import os


def scaled(full: int, minimum: int = 1) -> int:
    """Return MOORAGE_TEST_SCALE (0.05 unless set) of the full count, at least the minimum."""
    return max(minimum, round(full * float(os.environ.get("MOORAGE_TEST_SCALE", "0.05"))))
