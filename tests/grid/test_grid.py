"""Several trials at once: each is trained once, and none outlives the command."""

import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from filelock import FileLock

from effnet import thesis
from effnet.demo import pretrain
from effnet.demo.folder import make_demo, make_pretext
from effnet.errors import EffnetError
from effnet.grid import train, workers
from effnet.grid.__main__ import main
from effnet.grid.profiles import Job, Profile
from effnet.grid.speed import images_per_second
from effnet.training import identity
from effnet.training.status import read_status
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
    names = {"name": "two", "source": "two", "note": ""}
    return SimpleNamespace(**names, jobs=jobs, reports=tmp_path, demo=True)


def test_a_worker_leaves_out_what_another_trains(profile, capsys):
    trials = train.Grid(profile, 2, train.now())
    first, second = [entry.folder for entry in trials.entries]
    first.mkdir(parents=True)
    with FileLock(first / ".lock"):  # as another process holds it
        trials.train(wait=False)
    assert read_status(first) == {}
    assert read_status(second)["state"] == "finished"
    assert "trial 2 of 2: seed 1" in capsys.readouterr().out
    trials.train(wait=True)
    assert read_status(first)["state"] == "finished"
    assert "seed 1" not in capsys.readouterr().out.replace("1 to train", "")


def test_who_needs_no_checkpoint_does_not_wait_for_it(profile, tmp_path, monkeypatch):
    pretext = make_pretext(tmp_path / "pretext", size="smoke")
    monkeypatch.setattr(pretrain, "make_pretext", lambda *_, **__: pretext)
    monkeypatch.setattr(pretrain, "DATA", tmp_path / "data")
    first = replace(profile.jobs[0].trial, weights="demo")
    profile.jobs[0] = Job("fine-tuned", "pretrained", first)
    grid = train.Grid(profile, 2, train.now())
    assert [entry.folder is None for entry in grid.entries] == [True, False]
    states = [(entry["trial_id"] is None, entry["state"]) for entry in grid.write(0)]
    assert states == [(True, "missing"), (False, "missing")] and len(grid.todo()) == 2
    (tmp_path / "data/weights").mkdir(parents=True)
    lock, order = FileLock(tmp_path / "data/weights/.demo.lock"), []
    train_one = train.Grid._train

    def note(grid, entry):
        order.append(entry.job.name)
        train_one(grid, entry)
        lock.release()

    monkeypatch.setattr(train.Grid, "_train", note)
    with lock:  # as another process holds it that trains the checkpoint
        grid.train(wait=False)
    assert order == ["seed 1", "fine-tuned"]
    assert [entry["state"] for entry in grid.write(0)] == ["finished", "finished"]


def test_a_long_grid_says_its_time_before_it_starts(profile, capsys, monkeypatch):
    train.Grid(profile, 1, train.now()).foresee([])
    assert "at most" not in capsys.readouterr().out  # a short one does not ask
    grid = train.Grid(profile, 1, train.now())
    monkeypatch.setattr(train, "LONG", 1)
    monkeypatch.setattr(train, "images_per_second", lambda *_: 2.0)
    grid.foresee(grid.todo())
    images = sum(len(grid.module(job).split_rows("train")) for job in profile.jobs)
    said = capsys.readouterr().out
    assert f"2 to train: at most about 0:00:{images // 2:02d}" in said and "a few steps" in said
    assert grid.speed == {}  # the first epoch tells it better


def test_the_probe_of_a_slower_network_is_slower(profile):
    trial, parts = profile.jobs[0].trial, {"train": 40, "val": 20}
    speeds = [
        images_per_second(replace(trial, image_size=side), 4, parts, None) for side in (32, 160)
    ]
    assert speeds[0] > speeds[1] > 0


def test_workers_that_cannot_begin_are_not_started_again(tmp_path):
    unknown = SimpleNamespace(source="no such profile", reports=tmp_path)
    workers.train(unknown, 1, train.now(), retry=False)  # returns, and the caller says why


def test_a_worker_ends_with_its_parent():
    code = (
        "import time; from effnet.grid import workers; workers.stop_with_parent(); time.sleep(60)"
    )
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
    """Why the grid has processes of its own: `workers.train`."""
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


def test_jobs_and_cores(monkeypatch, profile):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(train.os, "sysconf", {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**23}.get)
    monkeypatch.setattr(identity, "cores", lambda: 2)
    assert train.default_jobs(profile) == 2
    monkeypatch.setattr(identity, "cores", lambda: 64)
    assert train.default_jobs(profile) == 22, "34 GB of memory"
    wide = Job("wide", "scratch_rgb", profile.jobs[0].trial.replace(threads=16))
    profile.jobs.append(wide)
    assert train.default_jobs(profile) == 4
    monkeypatch.setattr(sys, "argv", ["effnet.grid", "smoke", "--jobs", "0"])
    with pytest.raises(EffnetError, match="--jobs is 0"):
        main()


def test_the_fast_profile_is_the_thesis_in_other_settings():
    faithful, fast = Profile.load("thesis"), Profile.load("thesis_fast")
    settings = {"precision": "bf16-mixed", "compile": True, "cuda_graphs": True}
    others = [job for job in fast.jobs if job.group != "execution"]
    assert [job.name for job in others] == [job.name for job in faithful.jobs]
    for job, plain in zip(others, faithful.jobs, strict=True):
        assert job.trial == plain.trial.replace(**settings)
    compared = [job.trial for job in fast.jobs if job.group == "execution"]
    assert sorted(trial.seed for trial in compared) == [0, 1, 2, 2]


def test_the_thesis_profile_gives_each_run_its_own_settings():
    trials = {job.name: job.trial for job in Profile.load("thesis").jobs}
    grid = thesis.grid()
    assert len(grid) == 65 and set(grid["run"]) <= set(trials)
    for row in grid.itertuples():
        trial = trials[row.run]
        assert (trial.initial_lr, trial.lr_factor) == (row.initial_lr, row.lr_factor)
        assert (trial.batch_size, trial.lr_patience) == (row.batch_size, row.lr_patience)
    assert trials["SAN-469"].initial_lr == 1e-4 and trials["SAN-469"].lr_factor == 0.05


def test_the_controlled_profile_varies_one_thing_at_a_time():
    profile = Profile.load("controlled")
    assert len(profile.jobs) == 3 * (13 + 13 + 7) and len({j.trial for j in profile.jobs}) == 99
    for group in profile.groups:
        trials = [job.trial for job in profile.jobs if job.group == group]
        centre = profile.trial(group, {"dropout_rate": 0.2, "weight_decay": 0.2})
        for trial in trials:
            same = trial.replace(seed=0)
            changed = [n for n, v in same.values().items() if v != centre.values()[n]]
            assert changed in ([], ["dropout_rate"], ["weight_decay"])
        seeds = {t.seed for t in trials}
        assert len(seeds) == 3 and len(trials) % 3 == 0
        assert all(t.early_stopping_patience == t.epochs for t in trials)
    rgb, gray = (
        [j.trial for j in profile.jobs if j.group == f"scratch_{c}"] for c in ("rgb", "gray")
    )
    assert [t.replace(in_channels=1) for t in rgb] == gray


def test_the_laptop_profile_matches_colour_and_gray_and_repeats_a_setting(monkeypatch, tmp_path):
    monkeypatch.delenv("STANFORD_CARS_FRAMES", raising=False)
    profile = Profile.load("laptop")
    assert "whole_photographs" not in profile.groups
    of = {group: [j for j in profile.jobs if j.group == group] for group in profile.groups}
    counts = {group: len(jobs) for group, jobs in of.items()}
    assert counts == {
        "pretrained": 8, "scratch_lite": 3, "scratch_rgb": 7, "scratch_gray": 7,
        "pretrained_frozen": 3,
    }  # fmt: skip
    gray, rgb = ([j.trial for j in of[f"scratch_{c}"]] for c in ("gray", "rgb"))
    assert [t.replace(in_channels=1, normalization=t.normalization) for t in rgb] == gray
    for jobs in of.values():  # one setting of each group over three seeds
        settings = [job.trial.replace(seed=0) for job in jobs]
        assert 3 in [settings.count(setting) for setting in settings]
    assert {j.trial.normalization for j in of["pretrained"] + of["scratch_lite"]} == {"lite"}
    monkeypatch.setenv("STANFORD_CARS_FRAMES", str(tmp_path))
    whole = [j.trial for j in Profile.load("laptop").jobs if j.group == "whole_photographs"]
    assert len(whole) == 4 and {t.data_dir for t in whole} == {str(tmp_path)}
