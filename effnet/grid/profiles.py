"""Profiles: what `make reproduce` trains and on which data, one YAML file each.

`python -m effnet.grid.profiles thesis` fetches the published checkpoints that a profile needs.
"""

import argparse
import itertools
import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from effnet import thesis
from effnet.datasets.remote import fetched
from effnet.errors import EffnetError, command_line
from effnet.grid import profile_file
from effnet.paths import REPORTS, relative
from effnet.trial import Trial


class Job(NamedTuple):
    """A trial of a profile, with the label and the group it appears under."""

    name: str
    group: str
    trial: Trial
    keep_weights: bool = True


@dataclass(frozen=True)
class Profile:
    """One file of `effnet/grid/profiles`, or of the same form elsewhere.

    Attributes:
        name: of the file; results go to reports/<name>.
        source: what `make ... PROFILE=` takes for it: its name, or the path of a file elsewhere.
        note: one line that says what its numbers are worth.
        values: hyperparameters that all its trials share.
        groups: per group the values it adds (`trial`), its `grid` of lists, what is to `vary` one
            at a time, its named `runs`, and whether finished runs keep their best weights
            (`keep_weights`, true).
        seeds: every trial is trained once for each, so that the spread over seeds shows.
        places: where all that stands, for messages.
    """

    name: str
    source: str
    note: str
    values: dict[str, Any]
    groups: dict[str, dict[str, Any]]
    seeds: tuple[int, ...]
    places: profile_file.Places

    @classmethod
    def load(cls, name: str) -> "Profile":
        """The profile called `name`, or the one in the file of that path.

        Raises EffnetError for an unknown name, with those there are, and for whatever is wrong in
        the file, with its line.
        """
        path = profile_file.find(name)
        raw, places = profile_file.read(path)
        source = path.stem if path.parent == profile_file.FOLDER else relative(path)
        shared, seeds = raw["trial"], tuple(raw.get("seeds", [0]))
        profile = cls(path.stem, source, raw["note"].strip(), shared, raw["groups"], seeds, places)
        # A group on a folder that was not given is left out.
        there = {job.group for job in profile.jobs}
        if not there:
            variables = " and ".join(name[1:] for name in profile_file.VARIABLES)
            places.fail(("groups",), f"no group has its images: set {variables}.")
        groups = {group: spec for group, spec in raw["groups"].items() if group in there}
        return replace(profile, groups=groups)

    @property
    def reports(self) -> Path:
        """Where this profile's results go."""
        return REPORTS / self.name

    @property
    def demo(self) -> bool:
        """Whether the data are drawn by the kit rather than photographed."""
        return self.jobs[0].trial.data_dir.startswith("data/demo")

    def trial(self, group: str, overrides: dict[str, Any] | None = None) -> Trial:
        """The first trial of a group, with other values where given."""
        if group not in self.groups:
            raise EffnetError(
                f"profile {self.name} has no group {group!r}, but {', '.join(self.groups)}. Add it "
                f"({self.places[()].partition(',')[0]}), or take another profile or notebook."
            )
        first = self._variants(group)[0]
        return Trial.make(overrides or {}, base=first.base | first.given)

    @cached_property
    def jobs(self) -> list[Job]:
        """Every trial of the profile, in the order of training."""
        jobs: dict[str, Job] = {}
        for extra in self.seeds:
            for group in self.groups:
                for label, given, base, place in self._variants(group):
                    # Steps of 1000 keep clear of the seeds that the thesis's own repeats take.
                    seed = (base | given).get("seed", 0) + 1000 * extra
                    name = label if extra == self.seeds[0] else f"{label} seed {seed}"
                    if name in jobs:
                        self.places.fail(place, f"a second trial is called {name!r}.")
                    try:
                        trial = Trial.make(given | {"seed": seed}, base)
                    except EffnetError as error:
                        self.places.fail(place, f"trial {name!r}: {error}")
                    keep = self.groups[group].get("keep_weights", True)
                    jobs[name] = Job(name, group, trial, keep)
        return list(jobs.values())

    def _variants(self, group: str) -> list["_Variant"]:
        """Every trial of a group whose images were given."""
        spec = self.groups[group]
        points = self._points(group, spec)
        kind = "grid" if "grid" in spec else "vary"
        places: list[profile_file.Place] = [("groups", group, kind) for _ in points]
        places += [("groups", group, "runs", label) for label in spec["runs"]]
        found = []
        base = self.values | spec["trial"]
        for (label, own), place in zip([*points, *spec["runs"].items()], places, strict=True):
            folder = _data_dir((base | own).get("data_dir", Trial.data_dir))
            if folder is None:
                continue
            given = own | {"data_dir": folder}
            for level in (own, spec["trial"], self.values):
                given = level | given
                if "model_name" in level:  # what stands further out is for models in general
                    break
            found.append(_Variant(label, given, base, place))
        return found

    def _points(self, group: str, spec: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """Label and own values of the trials of a group's `grid`, or of what it is to `vary`."""
        if spec.get("grid") == "thesis":
            return _thesis_grid(group)
        if "grid" in spec:
            crossed = itertools.product(*spec["grid"].values())
            points = [dict(zip(spec["grid"], values, strict=True)) for values in crossed]
        else:  # each alone, around the group's own values
            base, centre = self.values | spec["trial"], {}
            for name in spec.get("vary", {}):
                if name not in base:
                    place = ("groups", group, "vary", name)
                    message = f"there is no {name} to vary around: give one under `trial`."
                    self.places.fail(place, message)
                centre[name] = base[name]
            around = [centre | {name: value} for name in centre for value in spec["vary"][name]]
            points = [point for i, point in enumerate(around) if point not in around[:i]]
        return [(_label(group, point), point) for point in points]


class _Variant(NamedTuple):
    label: str
    given: dict[str, Any]
    base: dict[str, Any]  # what counts besides, where the trial's model has such a thing
    place: profile_file.Place  # in the profile's file


def _label(group: str, point: dict[str, Any]) -> str:
    """The name of a trial of a grid, as "pretrained p=0.2 wd=0.01"."""
    short = {"dropout_rate": "p", "weight_decay": "wd"}
    words = [group]
    for name, value in point.items():
        plain = isinstance(value, float) and float(f"{value:g}") == value
        words.append(f"{short.get(name, name)}={f'{value:g}' if plain else value}")
    return " ".join(words)


def _data_dir(value: str) -> str | None:
    """A trial's folder; that of a variable which is not set is None.

    DATA_URL's archive takes the place of STANFORD_CARS: the kit reads archives as it reads folders.
    """
    if value not in profile_file.VARIABLES:
        return value
    if value == "$STANFORD_CARS" and (url := os.environ.get("DATA_URL")):
        if folder := os.environ.get("STANFORD_CARS"):
            raise EffnetError(
                f"STANFORD_CARS is {folder!r} and DATA_URL is set, too: give one of them."
            )
        return relative(fetched(url))
    return os.environ.get(value.removeprefix("$")) or profile_file.VARIABLES[value]


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
    from effnet.weights.published import fetch_weights  # with torch, which a profile does without

    parser = argparse.ArgumentParser(prog="python -m effnet.grid.profiles", description=__doc__)
    parser.add_argument("profile", nargs="?", default="demo", help="name, or path of a .yaml")
    profile = Profile.load(parser.parse_args().profile)
    names = checkpoint_names(profile)
    if not names:
        print(f"profile {profile.name} needs no published checkpoint")
    for name in names:
        print(f"{name}: {relative(fetch_weights(name))}")


if __name__ == "__main__":
    command_line(main)
