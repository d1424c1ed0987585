"""Train every trial of a profile, several at once, and say how long it will take.

`python -m effnet.grid demo` trains what is missing; finished trials are reused, failed ones are
left as they are unless they are asked for. It begins and ends with `reports/<profile>/grid.json`
(which runs belong to the profile, and how they ended) and `profile.json` (which data): the page of
a profile that is still being trained knows both.
"""

import os
import time
import traceback
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
from filelock import Timeout

from effnet.data import CarsDataModule
from effnet.demo.inputs import checkpoint_path, data_module, ready_checkpoint
from effnet.errors import EffnetError
from effnet.files import Damaged, locked, make_folder
from effnet.grid import outcome, workers
from effnet.grid.profiles import Job, Profile
from effnet.grid.speed import FirstEpoch, images_per_second, measured_speed, size_of
from effnet.train import TrialInterrupted, identify, run
from effnet.training import identity
from effnet.training.record import run_lock
from effnet.training.status import finished, now, read_status
from effnet.trial import Trial

LONG = 300_000  # images to train on, all epochs of all trials: minutes on any machine


@dataclass
class Entry:
    """A trial of the grid.

    Without a folder it has a message where its data or weights could not be had, and none where the
    demo's checkpoint, which is part of a run's id, is still to be trained.
    """

    job: Job
    number: int
    folder: Path | None = None
    checkpoint: Path | None = None
    message: str = ""


def train_grid(profile: Profile, jobs: int | None = None, retry: bool = False) -> list[dict]:
    """Train what is missing of the profile's grid; returns the entries of grid.json.

    A trial that fails costs only itself: the others are trained, and its entry says why it failed.
    What failed by itself (a loss that is not finite, bad values) is not tried again without
    `retry`; what the machine failed at (a full disk, a killed process) is.

    Args:
        profile: the profile.
        jobs: trials trained at once, each in a process of its own (None: see `default_jobs`).
        retry: train failed trials again, too.

    Raises EffnetError where no trial can be begun (no data), and for Ctrl-C.
    """
    start, began = time.perf_counter(), now()
    jobs = jobs or default_jobs(profile)
    grid = Grid(profile, jobs, began, retry)
    todo = grid.todo()
    print(f"{grid.overview(todo)}, {min(jobs, len(todo))} at once")
    if grid.speed:
        grid.estimate("earlier runs")
    else:
        grid.foresee(todo)
    grid.write(0)
    if min(jobs, len(todo)) > 1:
        workers.train(profile, jobs, began, retry)
    grid.train(wait=True)
    return grid.write(time.perf_counter() - start if todo else 0)


def default_jobs(profile: Profile) -> int:
    """Trials at once: on a GPU one, on a CPU as many as have their threads and 1.5 GB of memory.

    B0's small steps fill one core better than two. A trial takes about 1 GB at 64 px.
    """
    if torch.cuda.is_available():
        return 1
    threads = max(job.trial.threads * job.trial.devices for job in profile.jobs)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(identity.cores() // threads, int(memory // 1.5e9)))


def shared_module(modules: dict[str, CarsDataModule], t: Trial) -> CarsDataModule:
    """A trial's data, set up; trials that see the same pixels share what was read.

    `modules` holds what was made before.
    """
    held_out = (t.holdout, t.seed) if t.validation == "holdout" else None
    fields = (t.data_dir, t.image_size, t.in_channels, t.n_classes, t.max_per_class)
    key = repr((*fields, t.crop, t.crop_margin, held_out))
    if key not in modules:
        modules[key] = data_module(t)
        modules[key].setup()
    data = copy(modules[key])
    data.seed, data.batch_size = t.seed, t.batch_size  # the order of training alone
    return data


class Grid:
    """The trials of a profile, the folders of their runs, and how fast they train here.

    `began` is when the command did: what failed since is not tried again by another process.
    """

    def __init__(self, profile: Profile, jobs: int, began: str, retry: bool = False) -> None:
        self.profile, self.jobs, self.began, self.retry = profile, jobs, began, retry
        self.runs = profile.reports / "runs"
        self.modules: dict[str, CarsDataModule] = {}
        self.speed = measured_speed(profile)
        self.entries = [self._entry(job, n) for n, job in enumerate(profile.jobs, start=1)]
        if not self.modules:
            raise EffnetError(self.entries[0].message)

    def _entry(self, job: Job, number: int) -> Entry:
        entry = Entry(job, number)
        try:
            self.module(job)
            ready, checkpoint = ready_checkpoint(job.trial)
            if ready:
                self._identify(entry, checkpoint)
        except EffnetError as error:
            entry.message = str(error)
        return entry

    def _identify(self, entry: Entry, checkpoint: Path | None) -> None:
        """Note a trial's checkpoint, and with it the folder of its run."""
        entry.checkpoint = checkpoint
        entry.folder = self.runs / identify(entry.job.trial, self.module(entry.job), checkpoint)

    def module(self, job: Job) -> CarsDataModule:
        return shared_module(self.modules, job.trial)

    def write(self, seconds: float) -> list[dict]:
        """Write grid.json and profile.json as things stand; returns the entries."""
        entries = [outcome.entry(e.job, e.folder, e.message) for e in self.entries]
        data = next(iter(self.modules.values()))  # of the first trial that has any
        outcome.write(self.profile, entries, data, seconds)
        return entries

    def todo(self) -> list[Entry]:
        """The trials that are to be trained."""
        return [e for e in self.entries if not e.message and self._due(e.folder)]

    def overview(self, todo: list[Entry]) -> str:
        """How many trials there are, are done, and are to be trained, in a line."""
        done = sum(finished(entry.folder) for entry in self.entries if entry.folder)
        epochs = sum(entry.job.trial.epochs for entry in todo)
        return (
            f"profile {self.profile.name}: {len(self.entries)} trials, {done} done, {len(todo)} "
            f"to train, at most {epochs} epochs"
        )

    def _due(self, folder: Path | None) -> bool:
        if folder is None:
            return True
        if finished(folder):
            return False
        try:
            status = read_status(folder)
        except Damaged:
            return True
        if status.get("state") != "failed":
            return True
        return status["updated"] < self.began and (self.retry or status.get("system", False))

    def train(self, wait: bool) -> None:
        """Train what is missing; `wait` for what another process trains, or leave it out.

        A trial that fails is told, and the next one is trained. Those that need the demo's
        checkpoint come last where another process is training it.
        """
        later = [entry for entry in self.todo() if not self._attempt(entry, wait, False)]
        for entry in later:
            self._attempt(entry, wait, True)

    def _attempt(self, entry: Entry, wait: bool, wait_for_weights: bool) -> bool:
        """Train a trial where it is due; False where its weights are being made elsewhere."""
        try:
            if entry.folder is None:
                with suppress(Timeout):
                    self._identify(entry, checkpoint_path(entry.job.trial, wait_for_weights))
            if entry.folder is None:
                return False
            if self._due(entry.folder):
                make_folder(entry.folder)
                with locked(run_lock(entry.folder), f"trial {entry.job.name} is trained", wait):
                    if self._due(entry.folder):
                        number = f"trial {entry.number} of {len(self.entries)}"
                        print(f"{number}: {entry.job.name}", flush=True)
                        self._train(entry)
        except Timeout:
            pass  # another process trains it
        except TrialInterrupted:
            raise
        except Exception as error:
            if not isinstance(error, EffnetError):
                traceback.print_exc()
            entry.message = str(error)
            print(f"trial {entry.job.name} failed: {error}", flush=True)
        return True

    def _train(self, entry: Entry) -> None:
        job, data, size = entry.job, self.module(entry.job), size_of(entry.job)
        images = self._images(job, "train")

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
            checkpoint=entry.checkpoint,
            callbacks=[FirstEpoch(first_epoch)],
            keep_weights=job.keep_weights,
        )
        self.speed.update(measured_speed(self.profile))
        self.estimate("the runs so far")

    def foresee(self, entries: list[Entry]) -> None:
        """Where no run has told the speed: try a few steps, if training may take long."""
        if sum(e.job.trial.epochs * self._images(e.job, "train") for e in entries) < LONG:
            return
        for size, entry in {size_of(entry.job): entry for entry in entries}.items():
            job, data = entry.job, self.module(entry.job)
            images = {part: self._images(job, part) for part in ("train", "val")}
            with suppress(EffnetError):  # training will say what is wrong with the trial
                self.speed[size] = images_per_second(
                    job.trial, data.num_classes, images, entry.checkpoint
                )
        self.estimate("a few steps of each network; the first epoch tells it better")
        self.speed = {}

    def _images(self, job: Job, part: str) -> int:
        return len(self.module(job).split_rows(part))

    def estimate(self, source: str) -> None:
        """Print at most how long the rest takes, from the speeds measured on this device."""
        todo = [entry.job for entry in self.todo()]
        if not todo or not self.speed:
            return
        slowest = min(self.speed.values())
        seconds = sum(
            job.trial.epochs * self._images(job, "train") / self.speed.get(size_of(job), slowest)
            for job in todo
        )
        left = timedelta(seconds=round(seconds / min(self.jobs, len(todo))))
        print(f"  {len(todo)} to train: at most about {left} (by {source})", flush=True)
