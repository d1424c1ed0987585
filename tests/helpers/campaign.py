"""How much a test tries: a sample in the suite, everything in `make campaign`."""

import os

CAMPAIGN = bool(os.environ.get("CAMPAIGN"))


def tries(sample: int, campaign: int) -> int:
    """How many times, here and in the campaign."""
    return campaign if CAMPAIGN else sample
