"""How much a test tries: a sample in the suite, everything in `make campaign`."""

import itertools
import os

import pytest

CAMPAIGN = bool(os.environ.get("CAMPAIGN"))
ONLY_CAMPAIGN = pytest.mark.skipif(not CAMPAIGN, reason="make campaign")


def tries(sample: int, campaign: int) -> int:
    """How many times, here and in the campaign."""
    return campaign if CAMPAIGN else sample


def pairs(first, second):
    """All pairs in the campaign; here half of them, evenly: each with half of the other's."""
    whole = enumerate(itertools.product(first, second))
    columns = len(second)
    return [pair for i, pair in whole if CAMPAIGN or (i // columns + i % columns) % 2 == 0]
