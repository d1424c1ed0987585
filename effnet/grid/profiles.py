"""Profiles: what `make reproduce` trains and on which data, one YAML file each.

`python -m effnet.grid.profiles thesis` fetches the published checkpoints that a profile needs.
"""

import argparse
import itertools
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from effnet import thesis
from effnet.errors import EffnetError, command_line
from effnet.paths import REPORTS, relative
from effnet.trial import Trial
from effnet.weights.published import fetch_weights

FOLDER = Path(__file__).parent / "profiles"


class Job(NamedTuple):
    """A trial of a profile, with the label and the group it appears under."""

    name: str
    group: str
    trial: Trial
    keep_weights: bool = True


@dataclass(frozen=True)
class Profile:
    """One file of `effnet/grid/profiles`.

    Attributes:
        name: of the file; results go to reports/<name>.
        note: one line that says what its numbers are worth.
        values: hyperparameters that all its trials share.
        groups: per group the values it adds (`trial`), its `grid` of lists, what is to `vary` one
            at a time, its named `runs`, and whether finished runs keep their best weights
            (`keep_weights`, true).
        seeds: every trial is trained once for each, so that the spread over seeds shows.
    """

    name: str
    note: str
    values: dict[str, Any]
    groups: dict[str, dict[str, Any]]
    seeds: tuple[int, ...]

    @classmethod
    def load(cls, name: str) -> "Profile":
        """The profile called `name`; an unknown one is refused with the names there are."""
        known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
        if name not in known:
            raise EffnetError(f"profile is {name!r}: allowed are {', '.join(known)}.")
        raw = _read(name)
        folders: dict[str, str | None] = {}
        folders["$STANFORD_CARS"] = os.environ.get("STANFORD_CARS") or "data/stanford_cars"
        folders["$STANFORD_CARS_FRAMES"] = os.environ.get("STANFORD_CARS_FRAMES")
        for part in (raw, *raw["groups"].values()):
            values = part.get("trial", {})
            if "data_dir" in values:
                values["data_dir"] = folders.get(values["data_dir"], values["data_dir"])
        # A group on a folder that was not given is left out.
        groups = {
            name: group
            for name, group in raw["groups"].items()
            if group.get("trial", {}).get("data_dir", "") is not None
        }
        return cls(name, raw["note"].strip(), raw["trial"], groups, tuple(raw.get("seeds", [0])))

    @property
    def reports(self) -> Path:
        """Where this profile's results go."""
        return REPORTS / self.name

    @property
    def demo(self) -> bool:
        """Whether the data are drawn by the kit rather than photographed."""
        return str(self.values["data_dir"]).startswith("data/demo")

    def trial(self, group: str, overrides: dict[str, Any] | None = None) -> Trial:
        """The first trial of a group, with other values where given."""
        return Trial.make(self._variants(group)[0][1] | (overrides or {}))

    @cached_property
    def jobs(self) -> list[Job]:
        """Every trial of the profile, in the order of training."""
        jobs = []
        for extra in self.seeds:
            for group in self.groups:
                for label, values in self._variants(group):
                    # Steps of 1000 keep clear of the seeds that the thesis's own repeats take.
                    seed = values.get("seed", 0) + 1000 * extra
                    name = label if extra == self.seeds[0] else f"{label} seed {seed}"
                    keep = self.groups[group].get("keep_weights", True)
                    jobs.append(Job(name, group, Trial.make(values | {"seed": seed}), keep))
        return jobs

    def _variants(self, group: str) -> list[tuple[str, dict[str, Any]]]:
        """Label and values of each trial of a group."""
        if group not in self.groups:
            raise EffnetError(
                f"profile {self.name} has no group {group!r}: {', '.join(self.groups)}."
            )
        spec = self.groups[group]
        base = self.values | spec.get("trial", {})
        if spec.get("grid") == "thesis":
            return [(label, base | values) for label, values in _thesis_grid(group)]
        named = [(label, base | (values or {})) for label, values in spec.get("runs", {}).items()]
        points: list[dict[str, Any]] = []
        if "vary" in spec:  # each alone, around the group's own values
            centre = {name: base[name] for name in spec["vary"]}
            around = ([centre | {n: value} for value in spec["vary"][n]] for n in spec["vary"])
            points = list(itertools.chain(*around))
            points = [point for i, point in enumerate(points) if point not in points[:i]]
        elif "grid" in spec:
            crossed = itertools.product(*spec["grid"].values())
            points = [dict(zip(spec["grid"], point, strict=True)) for point in crossed]
        labels = [" ".join([group, *itertools.starmap(_short, p.items())]) for p in points]
        return [(label, base | p) for label, p in zip(labels, points, strict=True)] + named


def _read(name: str) -> dict[str, Any]:
    """A profile's file; with `like`, on top of another one's."""
    raw = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    if "like" in raw:
        base = _read(raw["like"])
        merged = {key: base[key] | raw.get(key, {}) for key in ("trial", "groups")}
        raw = base | raw | merged
    return raw


def _short(name: str, value: Any) -> str:
    return f"{ {'dropout_rate': 'p', 'weight_decay': 'wd'}.get(name, name) }={value:g}"


def _thesis_grid(group: str) -> list[tuple[str, dict[str, Any]]]:
    """The rows of the thesis's grid (data/thesis/grid.csv) that belong to a group."""
    rows = thesis.grid().query("group == @group")
    named = []
    for row in rows.itertuples():
        values = {
            "dropout_rate": row.dropout_rate,
            "weight_decay": row.weight_decay,
            "lr_patience": int(row.lr_patience),
            "early_stopping_patience": int(row.early_stopping_patience),
            "early_stopping_min_delta": row.early_stopping_min_delta,
            "batch_size": int(row.batch_size),
            "epochs": int(row.max_epochs),
            "optimizer": row.optimizer.lower(),
            "initial_lr": row.initial_lr,
            "lr_factor": row.lr_factor,
            # A cell that the thesis ran twice is two draws: the same values, another seed.
            "seed": int(row.repeat) - 1,
        }
        named.append((row.run, values))
    return named


def checkpoint_names(profile: Profile) -> list[str]:
    """Names of the published checkpoints that a profile's trials start from ("b0", ...)."""
    suffixes: dict[str | None, str] = {"imagenet": "", "advprop": "-advprop"}
    trials = [job.trial for job in profile.jobs if job.trial.weights in suffixes]
    return sorted({trial.model_name + suffixes[trial.weights] for trial in trials})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m effnet.grid.profiles", description=__doc__)
    parser.add_argument("profile", nargs="?", default="demo")
    profile = Profile.load(parser.parse_args().profile)
    names = checkpoint_names(profile)
    if not names:
        print(f"profile {profile.name} needs no published checkpoint")
    for name in names:
        print(f"{name}: {relative(fetch_weights(name))}")


if __name__ == "__main__":
    command_line(main)
