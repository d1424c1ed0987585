"""A finding: what was got for one claim, and the verdict that follows from it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

REPRODUCED = "reproduced"
DIFFERS = "differs"
WITHIN_SPREAD = "within spread"
NEEDS_REAL_DATA = "needs real data"
CANNOT_BE_CHECKED = "cannot be checked"
VERDICTS = (REPRODUCED, DIFFERS, WITHIN_SPREAD, NEEDS_REAL_DATA, CANNOT_BE_CHECKED)
# Text beside colour, so that no reader needs the colour.
SYMBOLS = dict(zip(VERDICTS, "✓✗≈○–", strict=True))

EXACT = "exact"
COUNT = "a count"
SETTING = "a setting"
HOW_TO_GET_REAL_DATA = "make reproduce PROFILE=thesis decides it"


@dataclass(frozen=True)
class Finding:
    """`got` (text, "" when nothing), `tolerance` with its `reason`, the verdict, and a comment."""

    verdict: str
    got: str = ""
    tolerance: str = ""
    reason: str = ""
    found: str = ""


def close(
    got: float | Sequence[float],
    expected: str,
    tolerance: float,
    reason: str,
    found: str = "",
    digits: int | None = 4,
    spread: float = math.nan,
) -> Finding:
    """Numbers beside the published ones (`expected`, separated by `;`), all within `tolerance`.

    A miss that is no larger than `spread`, the range over seeds, is *within spread*.
    """
    values = list(got) if isinstance(got, Sequence) else [got]
    published = [float(text) for text in expected.split(";")]
    shown = "; ".join(show(value, digits) for value in values)
    limit = EXACT if tolerance == 0 else f"±{tolerance:g}"
    if len(values) != len(published):
        return Finding(DIFFERS, shown, limit, reason, found)
    miss = max(abs(a - b) for a, b in zip(values, published, strict=True))
    if miss <= tolerance + 1e-9:
        verdict = REPRODUCED
    elif miss <= spread:
        verdict = WITHIN_SPREAD
        found = _join(found, f"Off by {miss:.3g}, less than the range over seeds, {spread:.3g}")
    else:
        verdict = DIFFERS
    return Finding(verdict, shown, limit, reason, found)


def same(got: object, expected: object, reason: str, found: str = "", shown: str = "") -> Finding:
    """An exact comparison; `shown` replaces the text of `got`."""
    verdict = REPRODUCED if got == expected else DIFFERS
    return Finding(verdict, shown or str(got), EXACT, reason, found)


def holds(condition: bool, got: str, tolerance: str, reason: str, found: str = "") -> Finding:
    """A statement that is either borne out by what was got or not."""
    return Finding(REPRODUCED if condition else DIFFERS, got, tolerance, reason, found)


def needs_real_data(found: str = "") -> Finding:
    """Only a training on the whole of Stanford Cars can tell."""
    return Finding(NEEDS_REAL_DATA, found=_join(found, HOW_TO_GET_REAL_DATA))


def cannot_be_checked(why: str) -> Finding:
    """Nothing that the kit could run would tell."""
    return Finding(CANNOT_BE_CHECKED, found=why)


def show(value: float, digits: int | None = 4) -> str:
    """A number as a table shows it: integers whole, others rounded to `digits` decimals.

    `digits=None` shows a setting as it would be typed.
    """
    if isinstance(value, Integral):
        return str(value)
    if math.isnan(value):
        return "none"
    return f"{value:g}" if digits is None else f"{value:.{digits}f}"


def _join(first: str, second: str) -> str:
    return f"{first.rstrip('. ')}. {second}" if first else second
