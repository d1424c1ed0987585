"""Train every trial of a profile, several at once, and say how long it will take.

`python -m effnet.grid demo` trains what is missing; finished trials are reused. It ends with
`reports/<profile>/grid.json` (which runs belong to the profile) and `profile.json` (which data).
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from filelock import Timeout

from effnet.data import CarsDataModule
from effnet.datasets.whole import is_whole
from effnet.demo.inputs import checkpoint_path, data_module
from effnet.errors import EffnetError
from effnet.files import write_json
from effnet.grid.profiles import Job, Profile
from effnet.runs import load_runs
from effnet.train import identify, run
from effnet.training import identity
from effnet.training.record import read_status, run_lock
from effnet.training.tracking import EpochLogger


class FirstEpoch(pl.Callback):
    """Tells the grid how long the first epoch took, as soon as it is over."""

    def __init__(self, told: Any) -> None:
        self.told = told

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(trainer.logger, EpochLogger)
        if len(trainer.logger.rows) == 1:
            self.told(trainer.logger.rows[0]["seconds"])


def train_grid(profile: Profile, jobs: int | None = None) -> Path:
    """Train what is missing of the profile's grid; returns the path of grid.json.

    Args:
        profile: the profile.
        jobs: trials trained at once, each in a process of its own (None: see `default_jobs`).

    Raises EffnetError as `effnet.train.run` does; what was trained before stays.
    """
    start = time.perf_counter()
    jobs = jobs or default_jobs()
    grid = Grid(profile, jobs)
    todo = grid.todo()
    done = len(profile.jobs) - len(todo)
    print(
        f"profile {profile.name}: {len(profile.jobs)} trials, {done} done, {len(todo)} to train, "
        f"at most {sum(job.trial.epochs for job in todo)} epochs, {min(jobs, len(todo))} at once"
    )
    grid.estimate("earlier runs")
    if min(jobs, len(todo)) > 1:
        _in_processes(profile, jobs)
    grid.train(wait=True)
    _write_profile(profile, grid.module(profile.jobs[0]), time.perf_counter() - start)
    names = [
        {"name": job.name, "group": job.group, "trial_id": folder.name}
        for job, folder in grid.folders
    ]
    write_json(profile.reports / "grid.json", names)
    print(f"profile {profile.name}: {len(names)} trials ready", flush=True)
    return profile.reports / "grid.json"


def default_jobs() -> int:
    """Trials at once: on a GPU one, on a CPU one per core and at most four.

    B0's small steps fill one core better than two. Each trial takes about 1 GB at 64 px, hence
    the limit.
    """
    return 1 if torch.cuda.is_available() else min(4, identity.cores())


class Grid:
    """The trials of a profile, the folders of their runs, and how fast they train here."""

    def __init__(self, profile: Profile, jobs: int) -> None:
        self.profile, self.jobs = profile, jobs
        self.runs = profile.reports / "runs"
        self.modules: dict[str, CarsDataModule] = {}
        self.speed = _measured_speed(profile)
        self.folders = [
            (job, self.runs / identify(job.trial, self.module(job), checkpoint_path(job.trial)))
            for job in profile.jobs
        ]

    def module(self, job: Job) -> CarsDataModule:
        """The job's data, shared between all jobs that see the same pixels in the same batches."""
        t = job.trial
        fields = (t.data_dir, t.image_size, t.in_channels, t.batch_size, t.seed, t.n_classes)
        key = repr((*fields, t.max_per_class, t.crop, t.crop_margin, t.validation, t.holdout))
        if key not in self.modules:
            self.modules[key] = data_module(t)
            self.modules[key].setup()
        return self.modules[key]

    def todo(self) -> list[Job]:
        """The jobs that are not finished."""
        return [job for job, folder in self.folders if not _finished(folder)]

    def train(self, wait: bool) -> None:
        """Train what is missing; `wait` for what another process trains, or leave it out."""
        for number, (job, folder) in enumerate(self.folders, start=1):
            if _finished(folder):
                continue
            folder.mkdir(parents=True, exist_ok=True)
            try:
                with run_lock(folder).acquire(timeout=-1 if wait else 0):
                    if not _finished(folder):
                        print(f"trial {number} of {len(self.folders)}: {job.name}", flush=True)
                        self._train(job)
            except Timeout:
                continue

    def _train(self, job: Job) -> None:
        data, size = self.module(job), _size(job)
        images = len(data.split_rows("train"))

        def first_epoch(seconds: float) -> None:
            if size not in self.speed:
                self.speed[size] = images / seconds
                self.estimate("the first epoch")

        run(
            job.trial,
            self.runs,
            job.name,
            job.group,
            data=data,
            checkpoint=checkpoint_path(job.trial),
            callbacks=[FirstEpoch(first_epoch)],
        )
        self.speed.update(_measured_speed(self.profile))
        self.estimate("the runs so far")

    def estimate(self, source: str) -> None:
        """Print at most how long the rest takes, from the speeds measured on this device."""
        todo = self.todo()
        if not todo or not self.speed:
            return
        slowest = min(self.speed.values())
        seconds = sum(
            job.trial.epochs
            * len(self.module(job).split_rows("train"))
            / self.speed.get(_size(job), slowest)
            for job in todo
        )
        left = timedelta(seconds=round(seconds / min(self.jobs, len(todo))))
        print(f"  {len(todo)} to train: at most about {left} (by {source})", flush=True)


def _finished(folder: Path) -> bool:
    return read_status(folder).get("state") == "finished"


def _size(job: Job) -> tuple[str, int]:
    return job.trial.model_name, job.trial.side


def _in_processes(profile: Profile, jobs: int) -> None:
    """Train with `jobs` processes of this command, which share the cores between them.

    Not a pool of concurrent.futures or loky: their workers outlive a killed parent and train on
    for it, and an interrupted one would begin the call that is queued behind. Here the run folders
    and their locks say what is left to do, so that nothing needs handing out or sending back.
    """
    command = [sys.executable, "-m", "effnet.grid", profile.name, "--worker", str(jobs)]
    threads = max(1, identity.cores() // jobs)
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, env=environment) for _ in range(jobs)
    ]
    try:
        going = True
        while going:
            time.sleep(0.2)
            going = any(worker.poll() is None for worker in workers)
            if any(worker.poll() for worker in workers):  # also when all have ended
                raise EffnetError(
                    "a trial could not be trained (see above), the others are stopped after their "
                    "last whole epoch. The same command goes on with what is missing."
                )
    finally:
        for worker in workers:
            assert worker.stdin
            worker.stdin.close()  # see stop_with_parent
        for worker in workers:
            worker.wait()


def stop_with_parent() -> None:
    """In a worker: stop after the last whole epoch once the parent is gone, however it went."""

    def watch() -> None:
        os.read(sys.stdin.fileno(), 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def _measured_speed(profile: Profile) -> dict[tuple[str, int], float]:
    """Training images per second (validation's time included) by model and resolution."""
    runs = load_runs(profile.reports, states=("finished",))
    if runs.empty:
        return {}
    runs = runs[runs["device"] == identity.environment()["device"]]
    return runs.groupby(["model_name", "image_size"])["images_per_second"].median().to_dict()


def _write_profile(profile: Profile, data: CarsDataModule, seconds: float) -> None:
    """Which data the results stand on, and which machine made them."""
    path = profile.reports / "profile.json"
    before = json.loads(path.read_text())["seconds"] if path.exists() else 0.0
    images, classes = len(data.annotations), data.num_classes
    name = "demo" if profile.demo else "Stanford Cars"
    environment = identity.environment()
    write_json(
        path,
        {
            "profile": profile.name,
            "note": profile.note,
            "data": {
                "name": name,
                "images": images,
                "classes": classes,
                "complete": is_whole(data.annotations, data.class_names) and not profile.demo,
                "data_hash": data.data_hash,
            },
            "commit": environment["commit"],
            "machine": f"{environment['device']}, {environment['cores']} cores",
            "environment": environment,
            "seconds": round(before + seconds, 1),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )
