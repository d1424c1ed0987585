"""Decode the chunks of a pixel cache in several processes, with progress."""

import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from effnet.datasets import images
from effnet.errors import EffnetError

Bad = tuple[int, str]

# Below this many images a worker takes longer to start than to decode its share.
_WORTH_A_WORKER = 200


class Chunk(NamedTuple):
    """Some consecutive images: how many, the file that says they are done, `images.load_chunk`'s
    argument."""

    count: int  # type: ignore[assignment]
    marker: Path
    job: dict[str, Any]


def build_chunks(chunks: list[Chunk], workers: int | None, title: str) -> list[Bad]:
    """Decode the chunks that have no marker yet; return (row, reason) of all unreadable images.

    `workers` processes (default: a core each, at most one per 200 images), none for 1.
    Raises EffnetError where a worker dies or cannot write.
    """
    bad: list[Bad] = []
    todo = []
    for chunk in chunks:
        if chunk.marker.exists():
            bad += _read_marker(chunk.marker)
        else:
            todo.append(chunk)
    total, left = sum(c.count for c in chunks), sum(c.count for c in todo)
    if workers is None:
        workers = min(os.cpu_count() or 1, left // _WORTH_A_WORKER)
    workers = min(workers, len(todo))
    shown = _progress(title, total, total - left, quiet=left < _WORTH_A_WORKER)
    with shown as advance:
        for count, found in _inline(todo) if workers <= 1 else _parallel(todo, workers):
            bad += found
            advance(count)
    return bad


def _read_marker(marker: Path) -> list[Bad]:
    return [(row, reason) for row, reason in json.loads(marker.read_text(encoding="utf-8"))]


def _inline(chunks: Iterable[Chunk]) -> Iterator[tuple[int, list[Bad]]]:
    for chunk in chunks:
        try:
            yield chunk.count, images.load_chunk(chunk.job)
        except (OSError, MemoryError) as error:
            raise _failed([chunk], f"{type(error).__name__}: {error}") from error


def _parallel(chunks: Sequence[Chunk], workers: int) -> Iterator[tuple[int, list[Bad]]]:
    """Processes of loky, whose workers neither run the user's script again, as those of
    concurrent.futures do (spawn), nor inherit threads, locks and CUDA (fork)."""
    from loky import ProcessPoolExecutor, as_completed  # not in every run's start: few make a cache

    pool = ProcessPoolExecutor(workers, initializer=_begin_worker)
    try:
        futures = {pool.submit(images.load_chunk, chunk.job): chunk for chunk in chunks}
        for done in as_completed(futures):
            try:
                yield futures[done].count, done.result()
            except (OSError, MemoryError) as error:
                raise _failed([futures[done]], f"{type(error).__name__}: {error}") from error
            except BrokenExecutor as error:
                # loky does not say whose chunk it was. They are begun in their order, so it is one
                # of the first that are not done.
                left = [chunk for chunk in chunks if not chunk.marker.exists()]
                code = re.search(r"\((-?\d+)\)", str(error))
                reason = f"ended with code {code[1]}" if code else f"ended: {error}"
                raise _failed(
                    left[:workers] or chunks[-1:], f"a worker process {reason}"
                ) from error
    finally:
        pool.shutdown(kill_workers=True)


def _begin_worker() -> None:
    """Ctrl-C is the parent's to answer; and what loky forgets: a killed parent's workers end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _failed(chunks: Sequence[Chunk], reason: str) -> EffnetError:
    """The error of one of these chunks."""
    read = [chunk.job["images"] for chunk in chunks]
    images_read = ", or ".join(f"{part[0][0]} to {part[-1][0]}" for part in read)
    return EffnetError(
        f"the pixel cache {chunks[0].job['array']} could not be written: {reason} (images "
        f"{images_read}). What is done is kept; the same command goes on from there"
    )


@contextmanager
def _progress(title: str, total: int, done: int, quiet: bool) -> Iterator[Callable[[int], Any]]:
    """Yield a function that counts images: a bar on a terminal, else a line per tenth."""
    if quiet:
        yield lambda count: None
    elif sys.stderr.isatty():
        with tqdm(total=total, initial=done, desc=title, unit=" images") as bar:
            yield bar.update
    else:
        start, first, tenth = time.perf_counter(), done, 10 * done // total

        def advance(count: int) -> None:
            nonlocal done, tenth
            done += count
            if 10 * done // total > tenth:
                tenth = 10 * done // total
                rate = (done - first) / (time.perf_counter() - start)
                print(f"{title}: {done:,} of {total:,} images, {rate:,.0f}/s", flush=True)

        yield advance
