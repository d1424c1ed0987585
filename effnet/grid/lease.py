"""One driver at a time: whoever trains a profile's grid on a cluster says so where others look."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from effnet.errors import EffnetError
from effnet.files import Damaged, locked, make_folder
from effnet.grid.storage import Storage, StorageFailed
from effnet.training.status import every, now, process_lives

NAME = "driver.json"
BEAT = 10.0  # seconds between a driver's signs of life
SETTLED = 1.0  # seconds after which the last of two that wrote at once has written


@contextmanager
def only_driver(reports: Path, storage: Storage | None) -> Iterator[None]:
    """Hold the profile's grid on this checkout and, where there is one, on the storage.

    A second driver of the same checkout waits. Raises EffnetError where one of another checkout
    uses the storage.
    """
    make_folder(reports)
    with locked(reports / ".driver.lock", f"the grid of {reports.name} is trained on Ray"):
        if storage is None:
            yield
        else:
            with _held(storage):
                yield


@contextmanager
def _held(storage: Storage) -> Iterator[None]:
    """The driver's sign on the storage; one that shows no life is taken over."""
    if other := _living(storage):
        raise EffnetError(
            f"STORAGE is {storage.name}: the same profile is trained there by process "
            f"{other['pid']} on {other['host']} since {other['since']}. Wait for its end, or give "
            "another STORAGE."
        )
    me: dict[str, Any] = {"pid": os.getpid(), "host": platform.node(), "since": now(), "beat": 0}
    storage.write(NAME, me)
    time.sleep(SETTLED)
    if not _mine(storage, me):
        raise EffnetError(f"STORAGE is {storage.name}: another driver began at the same moment.")

    def beat() -> None:
        me["beat"] += 1
        with suppress(StorageFailed):
            storage.write(NAME, me)

    try:
        with every(BEAT, beat):
            yield
    finally:
        storage.remove(NAME)


def _read(storage: Storage) -> dict[str, Any] | None:
    try:
        return storage.read(NAME)
    except (FileNotFoundError, Damaged):
        return None


def _living(storage: Storage) -> dict[str, Any] | None:
    """The driver that uses the storage now.

    Its signs of life are counted, not dated: two machines' clocks may differ.
    """
    found = _read(storage)
    if found is None:
        return None
    if found["host"] == platform.node():
        return found if process_lives(found["pid"]) else None
    print(f"waiting {3 * BEAT:.0f} s: does the driver on {found['host']} live?", flush=True)
    end = time.monotonic() + 3 * BEAT
    while time.monotonic() < end:
        time.sleep(BEAT / 2)
        if (later := _read(storage)) != found:
            return later
    return None


def _mine(storage: Storage, me: dict[str, Any]) -> bool:
    found = _read(storage)
    return found is None or (found["pid"], found["host"]) == (me["pid"], me["host"])
