"""Every test file leaves the memory as it found it."""

import gc

import pytest


@pytest.fixture(scope="module", autouse=True)
def freed():
    """Networks and trainers refer to each other in circles: they are looked for after each file.

    Not among what was there before it: the imports alone are a million objects.
    """
    gc.freeze()
    yield
    gc.collect()
    gc.unfreeze()
