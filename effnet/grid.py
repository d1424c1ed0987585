"""Train every trial of a profile, one after the other, and say how long it will take.

`python -m effnet.grid demo` trains what is missing; finished trials are reused. It ends with
`reports/<profile>/grid.json` (which runs belong to the profile) and `profile.json` (which data).
"""

import argparse
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from effnet import identity
from effnet.data import CarsDataModule
from effnet.errors import EffnetError, command_line
from effnet.files import write_json
from effnet.profiles import Job, Profile
from effnet.runs import load_runs
from effnet.train import checkpoint_path, data_module, identify, read_status, run


class FirstEpoch(pl.Callback):
    """Tells the grid how long the first epoch took, as soon as it is over."""

    def __init__(self, told: Any) -> None:
        self.told = told

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if len(trainer.logger.rows) == 1:
            self.told(trainer.logger.rows[0]["seconds"])


def train_grid(profile: Profile) -> Path:
    """Train what is missing of the profile's grid; returns the path of grid.json.

    Raises EffnetError as `effnet.train.run` does; what was trained before stays.
    """
    start = time.perf_counter()
    runs = profile.reports / "runs"
    modules: dict[str, CarsDataModule] = {}
    folders = [
        runs / identify(job.trial, _module(job, modules), checkpoint_path(job.trial))
        for job in profile.jobs
    ]
    done = [read_status(folder).get("state") == "finished" for folder in folders]
    todo = [job for job, d in zip(profile.jobs, done, strict=True) if not d]
    print(
        f"profile {profile.name}: {len(done)} trials, {sum(done)} done, {len(todo)} to train, "
        f"at most {sum(job.trial.epochs for job in todo)} epochs"
    )
    speed = _measured_speed(profile)
    if todo and speed:
        print(_estimate(todo, speed, modules, "earlier runs"))

    def first_epoch(seconds: float) -> None:
        if not speed:
            rate = len(_module(todo[0], modules).split_rows("train")) / seconds
            speed[_size(todo[0])] = rate
            print(_estimate(todo, speed, modules, "the first epoch"), flush=True)

    for number, job in enumerate(todo, start=1):
        print(f"trial {number} of {len(todo)}: {job.name}", flush=True)
        data = _module(job, modules)
        run(job.trial, runs, job.name, job.group, data=data, callbacks=[FirstEpoch(first_epoch)])
        if todo[number:]:
            speed.update(_measured_speed(profile))
            print(_estimate(todo[number:], speed, modules, "the runs so far"), flush=True)
    grid = [
        {"name": job.name, "group": job.group, "trial_id": folder.name}
        for job, folder in zip(profile.jobs, folders, strict=True)
    ]
    _write_profile(profile, _module(profile.jobs[0], modules), time.perf_counter() - start)
    write_json(profile.reports / "grid.json", grid)
    print(f"profile {profile.name}: {len(grid)} trials ready", flush=True)
    return profile.reports / "grid.json"


def _module(job: Job, modules: dict[str, CarsDataModule]) -> CarsDataModule:
    """The job's data, shared between all jobs that see the same pixels in the same batches."""
    t = job.trial
    fields = (t.data_dir, t.image_size, t.in_channels, t.batch_size, t.seed, t.n_classes)
    key = repr((*fields, t.max_per_class, t.crop, t.crop_margin, t.validation, t.holdout))
    if key not in modules:
        modules[key] = data_module(t)
        modules[key].setup()
    return modules[key]


def _size(job: Job) -> tuple[str, int]:
    return job.trial.model_name, job.trial.image_size


def _measured_speed(profile: Profile) -> dict[tuple[str, int], float]:
    """Training images per second (validation's time included) by model and resolution."""
    runs = load_runs(profile.reports, states=("finished",))
    if runs.empty:
        return {}
    runs = runs[runs["device"] == identity.environment()["device"]]
    return runs.groupby(["model_name", "image_size"])["images_per_second"].median().to_dict()


def _estimate(
    jobs: list[Job], speed: dict[tuple[str, int], float], modules: dict, source: str
) -> str:
    """At most how long the jobs take, from measured speeds."""
    slowest = min(speed.values())
    seconds = sum(
        job.trial.epochs
        * len(_module(job, modules).split_rows("train"))
        / speed.get(_size(job), slowest)
        for job in jobs
    )
    left = timedelta(seconds=round(seconds))
    return f"  {len(jobs)} to train: at most about {left} (by the speed of {source})"


def _write_profile(profile: Profile, data: CarsDataModule, seconds: float) -> None:
    """Which data the results stand on, and which machine made them."""
    path = profile.reports / "profile.json"
    before = json.loads(path.read_text())["seconds"] if path.exists() else 0.0
    images, classes = len(data.annotations), data.num_classes
    whole = images == 16_185 and classes == 196
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
                "complete": whole and not profile.demo,
                "data_hash": data.data_hash,
            },
            "commit": environment["commit"],
            "machine": f"{environment['device']}, {environment['cores']} cores",
            "environment": environment,
            "seconds": round(before + seconds, 1),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m effnet.grid", description=__doc__)
    parser.add_argument("profile", nargs="?", default="demo")
    profile = Profile.load(parser.parse_args().profile)
    if not profile.jobs:
        raise EffnetError(f"profile {profile.name} has no trials.")
    train_grid(profile)


if __name__ == "__main__":
    command_line(main)
