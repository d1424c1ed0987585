"""The processes that fill the pixel cache: several at once, killed, dying, orphaned."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from pictures import folder, reference

from effnet.datasets import building, chunks, images
from effnet.datasets.cache import pixels
from effnet.errors import EffnetError
from effnet.files import locked
from effnet.paths import ROOT


def test_several_processes_write_the_same_and_show_progress(tmp_path, capfd, monkeypatch):
    table = folder(tmp_path / "data", 60)
    one = pixels(tmp_path / "data", table, 16, cache_dir=tmp_path / "one", workers=1)
    monkeypatch.setattr(building, "CHUNK_BYTES", 6 * 16 * 16 * 3)
    monkeypatch.setattr(chunks, "_WORTH_A_WORKER", 20)
    two = pixels(tmp_path / "data", table, 16, cache_dir=tmp_path / "two", workers=3)
    assert one.path.read_bytes() == two.path.read_bytes()
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("pixel cache at 16 px: 6 of 60 images, ")
    assert lines[-1].startswith("pixel cache at 16 px: 60 of 60 images, ")
    assert sorted(p.suffix for p in (tmp_path / "two").iterdir()) == [".json", ".lock", ".npy"]


BUILD = """
import sys, time
import pandas as pd
from effnet.datasets import building, cache, images
building.CHUNK_BYTES = 2 * 16 * 16 * 3
slow, load = float(sys.argv[3]), images.load_chunk
def load_chunk(job):
    time.sleep(slow)
    print("chunk", flush=True)
    return load(job)
images.load_chunk = load_chunk
table = pd.read_csv(sys.argv[1] + "/table.csv")
print(cache.pixels(sys.argv[1], table, 16, cache_dir=sys.argv[2], workers=1).path)
"""


def start(root: Path, where: Path, slow: float) -> subprocess.Popen:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", BUILD, str(root), str(where), str(slow)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def test_killed_and_started_again_goes_on(tmp_path):
    table = folder(tmp_path / "data", 40)
    table.to_csv(tmp_path / "data" / "table.csv", index=False)
    killed = start(tmp_path / "data", tmp_path / "cache", 0.05)
    for _ in range(5):
        assert killed.stdout.readline() == "chunk\n"
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert list((tmp_path / "cache").glob("*.partial"))
    assert not list((tmp_path / "cache").glob("*.npy"))

    again = start(tmp_path / "data", tmp_path / "cache", 0)
    *chunks, path = again.communicate(timeout=600)[0].splitlines()
    assert 10 < len(chunks) <= 16  # of 20, of which at least 4 were done
    whole = pixels(tmp_path / "data", table, 16, cache_dir=tmp_path / "other", workers=1)
    assert Path(path).read_bytes() == whole.path.read_bytes()


def test_two_runs_at_once_build_one_cache(tmp_path):
    folder(tmp_path / "data", 20).to_csv(tmp_path / "data" / "table.csv", index=False)
    both = [start(tmp_path / "data", tmp_path / "cache", 0.05) for _ in range(2)]
    outputs = [process.communicate(timeout=600)[0].splitlines() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum(output.count("chunk") for output in outputs) == 10
    assert outputs[0][-1] == outputs[1][-1]


def test_who_waits_for_a_cache_is_told_for_whom(tmp_path):
    table = folder(tmp_path / "data", 20)
    table.to_csv(tmp_path / "data" / "table.csv", index=False)
    where = tmp_path / "cache"
    key = pixels(tmp_path / "data", table, 16, cache_dir=where).path
    key.unlink()
    with locked(key.with_suffix(".lock"), "the test"):
        waits = start(tmp_path / "data", where, 0)
        told = waits.stdout.readline()
        assert f"waiting: the pixel cache at 16 px is made by process {os.getpid()} on" in told
    assert waits.communicate(timeout=60)[0].splitlines()[-1] == str(key)


ORPHANS = """
import os, sys, time
from effnet.datasets import chunks
def work(job):
    print(os.getpid(), flush=True)
    time.sleep(60)
chunks.images.load_chunk = work
list(chunks._parallel([chunks.Chunk(1, None, {})] * 4, 2))
"""


def test_workers_end_with_their_parent():
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", ORPHANS]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    assert all(alive(pid) for pid in workers)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 300
    while any(alive(pid) for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in workers)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"  # an orphan that nobody has reaped yet


@pytest.mark.parametrize("seconds", [0, 2])  # that the other worker is busy with a good chunk
def test_a_worker_that_dies_is_reported_and_the_rest_kept(tmp_path, monkeypatch, seconds):
    table = folder(tmp_path / "data", 30)
    load_chunk = images.load_chunk

    def dies(job):
        if job["first_row"] == 15:
            time.sleep(seconds)
        return os._exit(9) if job["first_row"] >= 20 else load_chunk(job)

    monkeypatch.setattr(building, "CHUNK_BYTES", 5 * 16 * 16 * 3)
    monkeypatch.setattr(images, "load_chunk", dies)
    with pytest.raises(EffnetError, match=r"ended with code 9 \(images .*2[05]\.jpg to "):
        pixels(tmp_path / "data", table, 16, cache_dir=tmp_path / "cache", workers=2)
    monkeypatch.undo()
    assert len(list((tmp_path / "cache").glob("*.chunks/*.json"))) >= 2
    result = pixels(tmp_path / "data", table, 16, cache_dir=tmp_path / "cache", workers=1)
    np.testing.assert_array_equal(
        result.array[29], reference(tmp_path / "data" / table["path"][29], 16, 3)
    )


SCRIPT = """
import sys
import pandas as pd
from effnet.datasets import building, cache, images
print("the script runs")
building.CHUNK_BYTES = 2 * 16 * 16 * 3
table = pd.read_csv(sys.argv[1] + "/table.csv")
array = cache.pixels(sys.argv[1], table, 16, cache_dir=sys.argv[2], workers=2).array
print(array.shape)
"""
POOL = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
print("the script runs")
print(list(ProcessPoolExecutor(2, get_context("spawn")).map(abs, [-1, -2])))
"""


def test_a_script_without_a_main_guard_is_not_run_again_by_the_workers(tmp_path):
    """Why the workers are loky's: those of concurrent.futures run the script themselves."""
    folder(tmp_path / "data", 12).to_csv(tmp_path / "data" / "table.csv", index=False)
    outputs = []
    for name, source in (("ours.py", SCRIPT), ("pool.py", POOL)):
        (tmp_path / name).write_text(source)
        command = [sys.executable, name, str(tmp_path / "data"), str(tmp_path / "cache")]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        result = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
        )
        outputs.append((result.returncode, result.stdout.count("the script runs"), result.stderr))
        if name == "ours.py":
            assert "(12, 16, 16, 3)" in result.stdout
    assert outputs[0][:2] == (0, 1)
    code, times, stderr = outputs[1]
    assert code != 0 and times > 1 and "bootstrapping phase" in stderr
