"""Decode the chunks of a pixel cache in several processes, with progress."""

import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from effnet.datasets import images
from effnet.datasets.intact import Part, changed_parts
from effnet.errors import EffnetError
from effnet.files import cannot_write
from effnet.paths import relative

Bad = tuple[int, str]
Done = tuple[list[Bad], str]  # what `images.load_chunk` returns

# Below this many images a worker takes longer to start than to decode its share.
_WORTH_A_WORKER = 200


class Chunk(NamedTuple):
    """Some consecutive images: how many, the file that says they are done, `images.load_chunk`'s
    argument."""

    count: int  # type: ignore[assignment]
    marker: Path
    job: dict[str, Any]

    def part(self, digest: str) -> Part:
        """The chunk's rows in the array file, whose SHA-256 is `digest`."""
        row = self.job["size"] ** 2 * self.job["channels"]
        return Part(self.job["offset"] + self.job["first_row"] * row, self.count * row, digest)


def build_chunks(
    chunks: list[Chunk], workers: int | None, title: str
) -> tuple[list[Bad], list[Part]]:
    """Decode the chunks that are not done; return (row, reason) of all unreadable images, and the
    chunks as parts of the array file, in order.

    `workers` processes (default: a core each, at most one per 200 images), none for 1.
    Raises EffnetError where a worker dies or cannot write.
    """
    done = _done_before(chunks)
    todo = [chunk for chunk in chunks if chunk.marker not in done]
    total, left = sum(c.count for c in chunks), sum(c.count for c in todo)
    if workers is None:
        workers = min(os.cpu_count() or 1, left // _WORTH_A_WORKER)
    workers = min(workers, len(todo))
    shown = _progress(title, total, total - left, quiet=left < _WORTH_A_WORKER)
    with shown as advance:
        for chunk, result in _inline(todo) if workers <= 1 else _parallel(todo, workers):
            done[chunk.marker] = result
            advance(chunk.count)
    bad = [found for chunk in chunks for found in done[chunk.marker][0]]
    return bad, [chunk.part(done[chunk.marker][1]) for chunk in chunks]


def _done_before(chunks: Sequence[Chunk]) -> dict[Path, Done]:
    """By marker, the chunks that an earlier call finished and whose pixels are still the same."""
    begun = [chunk for chunk in chunks if chunk.marker.exists()]
    done = {c.marker: found for c in begun if (found := images.read_marker(c.marker))}
    for chunk in begun:
        if chunk.marker not in done:
            print(f"{relative(chunk.marker)} was cut or changed: its images are read again.")
    kept = [chunk for chunk in begun if chunk.marker in done]
    array = Path(kept[0].job["array"]) if kept else Path()
    for i in changed_parts(array, [chunk.part(done[chunk.marker][1]) for chunk in kept]):
        print(f"{relative(array)} was changed: {kept[i].count} images are read again.")
        del done[kept[i].marker]
    return done


def _inline(chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, Done]]:
    for chunk in chunks:
        try:
            yield chunk, images.load_chunk(chunk.job)
        except (OSError, MemoryError) as error:
            raise _not_written(chunk, chunks, error) from error


def _parallel(chunks: Sequence[Chunk], workers: int) -> Iterator[tuple[Chunk, Done]]:
    """Processes of loky, whose workers neither run the user's script again, as those of
    concurrent.futures do (spawn), nor inherit threads, locks and CUDA (fork)."""
    from loky import ProcessPoolExecutor, as_completed  # not in every run's start: few make a cache

    pool = ProcessPoolExecutor(workers, initializer=_begin_worker)
    try:
        futures = {pool.submit(images.load_chunk, chunk.job): chunk for chunk in chunks}
        for done in as_completed(futures):
            try:
                yield futures[done], done.result()
            except (OSError, MemoryError) as error:
                raise _not_written(futures[done], chunks, error) from error
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


def _not_written(chunk: Chunk, chunks: Sequence[Chunk], error: Exception) -> EffnetError:
    if not isinstance(error, OSError):
        return _failed([chunk], f"{type(error).__name__}: {error}")
    left = sum(c.part("").length for c in chunks if not c.marker.exists())
    return cannot_write(chunk.job["array"], error, f"{left:,} bytes more")


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
