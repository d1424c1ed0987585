"""How much a test tries: a sample in the suite, everything in `make campaign`."""

import os

import pytest

CAMPAIGN = bool(os.environ.get("CAMPAIGN"))
ONLY_CAMPAIGN = pytest.mark.skipif(not CAMPAIGN, reason="make campaign")


def tries(sample: int, campaign: int) -> int:
    """How many times, here and in the campaign."""
    return campaign if CAMPAIGN else sample
