"""Every test file leaves the memory as it found it."""

import ctypes
import gc

import pytest


@pytest.fixture(scope="module", autouse=True)
def freed():
    """Networks and trainers refer to each other in circles: they are looked for after each file.

    Not among what was there before it: the imports alone are a million objects.
    """
    gc.freeze()
    yield
    give_back()
    gc.unfreeze()


@pytest.fixture
def freed_at_once():
    """The same after each test, for files with large networks."""
    yield
    give_back()


def give_back():
    gc.collect()
    # Freed memory otherwise stays with the process, in pieces that the next network may not fit.
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):  # glibc's
        libc.malloc_trim(0)
