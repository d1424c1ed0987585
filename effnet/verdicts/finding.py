"""A finding: what was got for one claim, and the verdict that follows from it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral

REPRODUCED = "reproduced"
DIFFERS = "differs"
WITHIN_SPREAD = "within spread"
SAME_DIRECTION = "same direction"
OPPOSITE_DIRECTION = "opposite direction"
CONFIRMED = "confirmed"
NOT_CONFIRMED = "not confirmed"
NEEDS_REAL_DATA = "needs real data"
CANNOT_BE_CHECKED = "cannot be checked"
VERDICTS = (
    REPRODUCED,
    DIFFERS,
    SAME_DIRECTION,
    OPPOSITE_DIRECTION,
    WITHIN_SPREAD,
    CONFIRMED,
    NOT_CONFIRMED,
    NEEDS_REAL_DATA,
    CANNOT_BE_CHECKED,
)
DECIDED = VERDICTS[:7]
# Text beside colour, so that no reader needs the colour.
SYMBOLS = dict(zip(VERDICTS, "✓✗↗↘≈◆◇○–", strict=True))

# What a verdict rests on.
MEASURED = "measured"
TRAINED = "trained"
SET = "setting"
PUBLISHED = "published"
BASES = {
    MEASURED: "computed here from the model, the data or the transforms",
    TRAINED: "from runs that were trained here",
    SET: "the kit is set as the thesis says",
    PUBLISHED: "follows from published numbers, nothing was measured",
}

EXACT = "exact"
COUNT = "a count"
SETTING = "a setting"
HOW_TO_GET_REAL_DATA = "make reproduce PROFILE=thesis decides it"


@dataclass(frozen=True)
class Finding:
    """What was got for a claim.

    Attributes:
        verdict: one of `VERDICTS`.
        got: as text, "" when nothing.
        tolerance: how far it may lie from the claim, with its `reason`.
        found: a comment.
        basis: one of `BASES`; `effnet.verdicts.claims` sets it by topic.
    """

    verdict: str
    got: str = ""
    tolerance: str = ""
    reason: str = ""
    found: str = ""
    basis: str = ""


def close(
    got: float | Sequence[float],
    expected: str,
    tolerance: float | Sequence[float],
    reason: str,
    found: str = "",
    digits: int | None = 4,
) -> Finding:
    """Numbers beside the published ones (`expected`, separated by `;`), all within `tolerance`,
    which is one for all or one for each.
    """
    values = list(got) if isinstance(got, Sequence) else [got]
    published = [float(text) for text in expected.split(";")]
    shown = "; ".join(show(value, digits) for value in values)
    limits = list(tolerance) if isinstance(tolerance, Sequence) else [tolerance]
    limit = EXACT if limits == [0] else "; ".join(f"±{t:.2g}" for t in limits)
    if len(values) != len(published):
        return Finding(DIFFERS, shown, limit, reason, found)
    limits *= len(values) if len(limits) == 1 else 1
    near = [abs(a - b) <= t + 1e-9 for a, b, t in zip(values, published, limits, strict=True)]
    return Finding(REPRODUCED if all(near) else DIFFERS, shown, limit, reason, found)


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


def as_kind(finding: Finding, kind: str) -> Finding:
    """The finding of a claim of this kind: what is no claim is confirmed or not, not reproduced."""
    if kind == "claim":
        return finding
    other = {REPRODUCED: CONFIRMED, DIFFERS: NOT_CONFIRMED}
    return replace(finding, verdict=other.get(finding.verdict, finding.verdict))


def sentence(text: str) -> str:
    """The text with a capital first letter, all else as it is."""
    return text[:1].upper() + text[1:]


def _join(first: str, second: str) -> str:
    return f"{first.rstrip('. ')}. {second}" if first else second
