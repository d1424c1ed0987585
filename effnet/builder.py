"""Decode the chunks of a pixel cache in several processes, with progress."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from tqdm import tqdm

from effnet import images
from effnet.errors import EffnetError

Bad = tuple[int, str]

# Below this many images a worker takes longer to start than to decode its share.
_WORTH_A_WORKER = 200


class Chunk(NamedTuple):
    """Some consecutive images: how many, the file that says they are done, `images.load_chunk`'s
    argument."""

    count: int
    marker: Path
    job: dict


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
            raise _failed(chunk, f"{type(error).__name__}: {error}") from error


def _parallel(chunks: list[Chunk], workers: int) -> Iterator[tuple[int, list[Bad]]]:
    """A thread per worker process hands it one chunk after another over its pipes."""
    processes = [_start_worker() for _ in range(workers)]
    idle: SimpleQueue[subprocess.Popen] = SimpleQueue()
    for process in processes:
        idle.put(process)

    def one(chunk: Chunk) -> tuple[int, list[Bad]]:
        process = idle.get()
        try:
            process.stdin.write(json.dumps(chunk.job) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""  # as at the end of its output: it died
        finally:
            idle.put(process)
        if not line:
            raise _failed(chunk, f"its process ended with code {process.wait()}")
        reply = json.loads(line)
        if "error" in reply:
            raise _failed(chunk, reply["error"])
        return chunk.count, [(row, reason) for row, reason in reply["bad"]]

    threads = ThreadPoolExecutor(workers)
    try:
        for done in as_completed([threads.submit(one, chunk) for chunk in chunks]):
            yield done.result()
    finally:
        for process in processes:
            process.terminate()
        threads.shutdown(cancel_futures=True)
        for process in processes:
            process.wait()
            process.stdout.close()
            with suppress(OSError):  # what was still to be sent
                process.stdin.close()


def _start_worker() -> subprocess.Popen:
    # A session of its own: Ctrl-C is this process's to answer. The safe path keeps effnet/ itself,
    # with names like `data` and `files`, off the worker's import path.
    return subprocess.Popen(
        [sys.executable, str(Path(images.__file__))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONSAFEPATH": "1"},
        start_new_session=True,
    )


def _failed(chunk: Chunk, reason: str) -> EffnetError:
    paths = [path for path, _ in chunk.job["images"]]
    return EffnetError(
        f"the pixel cache {chunk.job['array']} could not be written: {reason} (images {paths[0]} "
        f"to {paths[-1]}). What is done is kept; the same command goes on from there"
    )


@contextmanager
def _progress(title: str, total: int, done: int, quiet: bool) -> Iterator:
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
