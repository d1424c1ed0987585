"""Several trials at once: each is trained once, and none outlives the command."""

import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock

from effnet.demo.folder import make_demo
from effnet.errors import EffnetError, command_line
from effnet.grid import __main__ as grid
from effnet.grid import train
from effnet.grid.profiles import Job, Profile
from effnet.training import identity
from effnet.training.record import read_status
from effnet.training.trainer import same_threads
from effnet.trial import Trial

SMALL = {
    "recipe": "thesis",
    "image_size": 32,
    "batch_size": 10,
    "epochs": 1,
    "width_coefficient": 0.3,
    "depth_coefficient": 0.35,
}


@pytest.fixture
def profile(tmp_path):
    """Two trials of a second each, in a folder of their own."""
    data = str(make_demo(tmp_path / "smoke", size="smoke"))
    trials = [Trial(data_dir=data, seed=seed, **SMALL) for seed in (0, 1)]
    jobs = [Job(f"seed {trial.seed}", "scratch_rgb", trial) for trial in trials]
    return SimpleNamespace(name="two", note="", jobs=jobs, reports=tmp_path, demo=True)


def test_a_worker_leaves_out_what_another_trains(profile, capsys):
    trials = train.Grid(profile, 2)
    first, second = [folder for _, folder in trials.folders]
    first.mkdir(parents=True)
    with FileLock(first / ".lock"):  # as another process holds it
        trials.train(wait=False)
    assert read_status(first) == {}
    assert read_status(second)["state"] == "finished"
    assert "trial 2 of 2: seed 1" in capsys.readouterr().out
    trials.train(wait=True)
    assert read_status(first)["state"] == "finished"
    assert "seed 1" not in capsys.readouterr().out.replace("1 to train", "")


# Stands for the workers: one fails once the other is there, which ends when it is told to.
WORKER = f"""#!{sys.executable}
import pathlib, select, sys, time
here = pathlib.Path(__file__).parent
try:
    (here / "first").mkdir()
except FileExistsError:
    (here / "second").touch()
    told = select.select([sys.stdin], [], [], 60)[0]
    (here / "told").write_text(" ".join(sys.argv[1:]) if told else "never")
else:
    while not (here / "second").exists():
        time.sleep(0.05)
    sys.exit(1)
"""


def test_one_failed_process_stops_the_others(tmp_path, monkeypatch):
    worker = tmp_path / "worker"
    worker.write_text(WORKER)
    worker.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(worker))
    with pytest.raises(EffnetError, match="a trial could not be trained.*goes on"):
        train._in_processes(SimpleNamespace(name="two"), 2)
    assert (tmp_path / "told").read_text() == "-m effnet.grid two --worker 2"


def test_a_process_that_cannot_train_says_so(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["effnet.grid", "no such profile", "--worker", "2"])
    with pytest.raises(SystemExit) as ended:
        command_line(grid.main)
    assert ended.value.code == 1 and "profile is 'no such profile'" in capsys.readouterr().err


def test_a_worker_ends_with_its_parent():
    code = "import time; from effnet.grid import train; train.stop_with_parent(); time.sleep(60)"
    worker = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE)
    worker.stdin.close()  # what the system does when the parent is killed
    assert worker.wait(timeout=600) != 0


POOL = """
import sys, time
from loky import ProcessPoolExecutor as Loky
from concurrent.futures import ProcessPoolExecutor as Stdlib
from multiprocessing import get_context
def work(path):
    print("running", flush=True)
    time.sleep(3)
    open(path, "w").close()
if __name__ == "__main__":
    options = {"mp_context": get_context("spawn")} if sys.argv[1] == "Stdlib" else {}
    pool = globals()[sys.argv[1]](1, **options)
    pool.submit(work, sys.argv[2]).result()
"""


@pytest.mark.parametrize("library", ["Stdlib", "Loky"])
def test_a_library_s_pool_outlives_its_parent(library, tmp_path):
    """Why the grid has processes of its own: `train._in_processes`."""
    (tmp_path / "pool.py").write_text(POOL)
    done = tmp_path / "done"
    command = [sys.executable, "pool.py", library, str(done)]
    parent = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert parent.stdout.readline() == "running\n"
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 300
    while not done.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert done.exists()  # the worker went on for nobody


def test_jobs_and_cores(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(identity, "cores", lambda: 2)
    assert train.default_jobs() == 2
    monkeypatch.setattr(identity, "cores", lambda: 64)
    assert train.default_jobs() == 4
    monkeypatch.setattr(sys, "argv", ["effnet.grid", "smoke", "--jobs", "0"])
    with pytest.raises(EffnetError, match="--jobs is 0"):
        grid.main()


def test_a_resumed_run_keeps_its_number_of_threads(tmp_path):
    (tmp_path / "trial.json").write_text('{"environment": {"threads": 3}}')
    before = torch.get_num_threads()
    with same_threads(tmp_path):
        assert torch.get_num_threads() == 3
    assert torch.get_num_threads() == before


def test_the_fast_profile_is_the_thesis_in_other_settings():
    faithful, fast = Profile.load("thesis"), Profile.load("thesis_fast")
    settings = {"precision": "bf16-mixed", "compile": True, "cuda_graphs": True}
    others = [job for job in fast.jobs if job.group != "execution"]
    assert [job.name for job in others] == [job.name for job in faithful.jobs]
    for job, plain in zip(others, faithful.jobs, strict=True):
        assert job.trial == plain.trial.replace(**settings)
    compared = [job.trial for job in fast.jobs if job.group == "execution"]
    assert sorted(trial.seed for trial in compared) == [0, 1, 2, 2]
