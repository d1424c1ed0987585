"""Keeping freed memory in the process, where a training step on a CPU takes and frees gigabytes."""

import ctypes
import sys

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Tell glibc's malloc never to give memory back before the process ends; whether it heard.

    By default every tensor above some megabytes is mapped anew and unmapped when it is freed, and
    the kernel clears its pages each time: half of B0's step at 224 px. Other C libraries are left
    as they are. Peak memory stays the same, it is only kept.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # musl
        return False
    # -1: no trimming. No maps: large blocks come from the heap, where they are used again.
    return bool(mallopt(M_TRIM_THRESHOLD, -1) and mallopt(M_MMAP_MAX, 0))
