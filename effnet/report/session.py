"""What a numbered notebook needs around its story: parameters, runs, saved figures, claims."""

import os
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import pandas as pd
from matplotlib.figure import Figure

from effnet import thesis
from effnet.grid.profiles import Profile
from effnet.paths import relative
from effnet.plots.groups import data_note
from effnet.plots.style import plain
from effnet.report.output import (
    setup_display,
    shown_figure,
    shown_table,
    write_figure,
    write_record,
)
from effnet.report.own import OWN, own_reports, runs_of
from effnet.report.parameters import label, set_in_cells, settle
from effnet.report.records import ASKED_FOR, NOTEBOOKS, Records
from effnet.runs import grid_runs, runs_below
from effnet.spreadsheet import write_csv
from effnet.training import identity
from effnet.trial import check_tracker
from effnet.verdicts.profile import is_part, is_real, read_profile

Runs: TypeAlias = pd.DataFrame | pd.Series | None
Published: TypeAlias = str | Sequence[str]


class Session:
    """One execution of a numbered notebook under a profile.

    Attributes:
        profile: the profile, with its reports folder and note.
        trial: the notebook's own trial: the first of its group, with the parameters that were set.
        group: the group that it belongs to; grayscale trials from scratch have their own.
        images: the name of the reader's own images; None for the profile's.
        home: the folder of reports that its runs belong to: the profile's, or that of the images.
        reports: where figures and tables go; a folder of its own when a parameter was overridden,
            so that the profile's results stay what the profile says.
        recorded: whether the images are not at hand, and what runs recorded stands for them.
    """

    def __init__(
        self,
        profile: str,
        notebook: str,
        group: str | None,
        overrides: dict[str, Any],
        tracker: str,
    ) -> None:
        check_tracker(tracker)
        self.notebook, self.group, self.tracker = notebook, group, tracker
        self.profile = Profile.load(str(profile))
        groups = self.profile.groups
        # Without a group of its own a notebook shows weights where the profile has any.
        first = group or next((g for g in groups if self.profile.trial(g).weights), [*groups][0])
        if group == "scratch_rgb" and overrides.get("in_channels") == 1:
            self.group = "scratch_gray"
            first = self.group if self.group in self.profile.groups else group
        self.trial = self.profile.trial(first, overrides)
        self.overrides = overrides
        self.images: str | None = None
        self.home = self.reports = self.profile.reports
        about_images = notebook[:2] == OWN  # whatever they are, and whatever was set
        if about_images or self.trial.path() != self.profile.trial(first).path():
            self.home = self.reports = own_reports(self.trial.path())
            self.images = self.home.name
        changed = {k: v for k, v in overrides.items() if k != "data_dir" or not self.images}
        if changed and not about_images:
            self.reports /= f"custom/{label(changed)}"
        self.recorded = notebook[:2] in NOTEBOOKS and not overrides and self._only_records()
        self.started = time.perf_counter()
        self._own_run: Path | None = None

    @classmethod
    def open(cls, namespace: dict[str, Any], notebook: str, group: str | None = None) -> "Session":
        """Check a notebook's parameters (its globals) and open its session.

        Raises EffnetError for an unknown parameter, a wrong type or a value out of range, before
        anything is read or trained.
        """
        setup_display()
        values = set_in_cells(namespace, notebook)
        session = cls(values["profile"], notebook, group, *settle(values))
        print(session)
        return session

    def _only_records(self) -> bool:
        place = self.trial.path()
        # A data set of torchvision's has a name, and no folder that could be absent.
        absent = not self.profile.demo and place.is_absolute() and not place.exists()
        return (absent or ASKED_FOR in os.environ) and len(grid_runs(self.profile.reports)) > 0

    def __str__(self) -> str:
        if self.images:
            return (
                f"images of {relative(self.trial.path())}; runs, figures and tables go to "
                f"{relative(self.reports)}; what is not set is as in profile {self.profile.name}"
            )
        trained = grid_runs(self.profile.reports)
        text = f"profile {self.profile.name}: {self.profile.note}"
        if self.overrides:
            changed = ", ".join(f"{k}={v}" for k, v in self.overrides.items())
            text += f"\noverridden: {changed}; figures go to {relative(self.reports)}"
        if self.recorded:
            text += (
                f"\ndrawn from the records of {len(trained)} finished runs; no photograph is read"
            )
        elif len(trained) < len(self.profile.jobs):
            text += (
                f"\n{len(trained)} of the profile's {len(self.profile.jobs)} runs are trained; "
                f"`make reproduce PROFILE={self.profile.source}` trains "
                f"{'the others' if len(trained) else 'them'}"
            )
        return text

    @cached_property
    def data(self) -> Any:
        """The trial's CarsDataModule, set up (the demo's are drawn first where they are missing).

        Records stand for it where the session is drawn from them.
        """
        from effnet.demo.inputs import data_module

        if self.recorded:
            about = read_profile(self.profile.reports)
            return Records(grid_runs(self.profile.reports), is_real(about) or is_part(about))
        data = data_module(self.trial)
        data.setup()
        return data

    @cached_property
    def checkpoint(self) -> Path | None:
        """The file of the trial's pretrained weights (the demo's is trained first)."""
        from effnet.demo.inputs import checkpoint_path

        return checkpoint_path(self.trial)

    def run(self) -> pd.Series | None:
        """Train the notebook's trial, or load it where it is finished; its row of `runs`.

        Where the profile's own first trial has failed, the first finished run of its group stands
        for it (None without one), and a line says so. Overridden trials are always tried.
        """
        from effnet.train import identify, run
        from effnet.training.trackers import send

        if self.recorded:
            row = self.data.run(self.group, self._job_name())
            if row is not None:
                send(self.tracker, Path(row["path"]))
            return row
        if not self.overrides and not self.images:
            trial_id = identify(self.trial, self.data, self.checkpoint)
            known = runs_below(self.profile.reports, states=("failed",))
            failed = known[known["trial_id"] == trial_id]
            if len(failed):
                return self._instead_of(failed.iloc[0])
        name: str | None
        if self.images:
            name = f"{self.trial.model_name}, {self.trial.side} px, seed {self.trial.seed}"
        else:
            name = label(self.overrides) if self.overrides else self._job_name()
        self._own_run = run(
            self.trial, self.home / "runs", name, self.trial.group, self.tracker,
            data=self.data, checkpoint=self.checkpoint,
        )  # fmt: skip
        runs = runs_below(self.home)
        return runs[runs["trial_id"] == self._own_run.name].iloc[0]

    def _instead_of(self, failed: pd.Series) -> pd.Series | None:
        """The first finished run of a failed run's group, with a line on why it is shown."""
        finished = grid_runs(self.profile.reports)
        finished = finished[finished["group"] == failed["group"]]
        other = finished.iloc[0] if len(finished) else None
        shown = "no run of its group is finished" if other is None else f"shown is {other['name']}"
        print(f"the profile's run {failed['name']} failed ({failed['message']}); {shown}")
        return other

    @property
    def runs(self) -> pd.DataFrame:
        """The finished runs of the profile's grid, and this notebook's own.

        Of a reader's own images: the runs that saw them, and no other.
        """
        if self.images:
            return runs_of(self.home, self.data.data_hash)
        runs = grid_runs(self.profile.reports)
        if self._own_run and self._own_run.name not in set(runs["trial_id"]):
            everything = runs_below(self.profile.reports, states=("finished",))
            own = everything[everything["trial_id"] == self._own_run.name]
            runs = pd.concat([runs, own], ignore_index=True)
        return runs

    @property
    def drawn(self) -> bool:
        """Whether the images are drawn by the kit rather than photographed."""
        from effnet.demo.folder import DRAWN

        return self.profile.demo and (not self.images or self.trial.path() in DRAWN)

    @property
    def source(self) -> str:
        """The words with which figures say what they show."""
        if self.images:
            return f"{plain(self.images)}, own images"
        part = is_part(read_profile(self.home))
        return data_note(self.profile.name, self.profile.demo, part)

    @property
    def comparable(self) -> bool:
        """Whether a published accuracy may be a line among the profile's curves: its runs saw the
        whole of Stanford Cars.
        """
        return not self.images and is_real(read_profile(self.home))

    def _job_name(self) -> str | None:
        return next((job.name for job in self.profile.jobs if job.trial == self.trial), None)

    def save(
        self,
        fig: Figure,
        name: str,
        caption: str,
        runs: Runs = None,
        photographs: bool = False,
        published: Published = (),
        images: bool | None = None,
    ) -> None:
        """Write a figure as PNG and SVG with its provenance, and show it with its caption.

        `runs` are the runs it was drawn from (rows of `session.runs`); `published` names the files
        of `data/thesis` it was drawn from, as "grid"; `images` says whether the profile's images
        (or weights) went in. Without it they did where neither runs nor published numbers are
        named. `photographs` says that it shows the images, which may not be ours to pass on.
        """
        from IPython.display import Markdown, display

        paths = write_figure(fig, self.reports / "figures", name, small=self.recorded)
        used = photographs or images
        shown = photographs and not self.recorded
        self._record(paths, name, caption, runs, published, used, shown)
        display(shown_figure(paths[0]))
        display(Markdown(f"**{name}.** {caption}"))

    def table(
        self,
        table: pd.DataFrame,
        name: str,
        caption: str,
        runs: Runs = None,
        published: Published = (),
        images: bool | None = None,
    ) -> None:
        """Write a table as CSV with its provenance, and show it with its caption; see `save`."""
        from IPython.display import Markdown, display

        path = self.reports / "tables" / f"{name}.csv"
        write_csv(path, table, index=table.index.name is not None)
        self._record([path], name, caption, runs, published, images)
        display(shown_table(table), raw=True)
        display(Markdown(f"**{name}.** {caption}"))

    def claims(self) -> None:
        """Show the thesis's claims that this notebook is about, beside what came out here."""
        from IPython.display import Markdown, display

        from effnet.verdicts.claims import closing_table

        if self.images:
            display(Markdown("These are other images: nothing here speaks of the thesis's claims."))
        else:
            display(shown_table(closing_table(self.home, self.notebook)), raw=True)

    def _record(
        self,
        paths: list[Path],
        name: str,
        caption: str,
        runs: Runs,
        published: Published,
        images: bool | None,
        photographs: bool = False,
    ) -> None:
        """The JSON beside a figure or table: what made it."""
        rows = None if runs is None else pd.DataFrame(runs.to_frame().T if runs.ndim == 1 else runs)
        ids: list[str] = [] if rows is None else sorted(rows["trial_id"])
        files = [published] if isinstance(published, str) else published
        # Of published numbers, or of a network alone, it says nothing about the profile's data.
        own = bool(ids) or (not files if images is None else images)
        environment = identity.environment()
        write_record(
            paths,
            {
                "id": name,
                "caption": caption,
                "notebook": self.notebook,
                "cell": name,
                "profile": self.images or self.profile.name,
                "demo": own and self.drawn,
                "photographs": photographs and not self.drawn,
                "published": [thesis.cite(file) for file in files],
                "runs": ids,
                "data_hash": self.data.data_hash if own else "",
                # Records are of the code that trained them.
                "code_hash": self.data.code_hash if self.recorded else identity.code_hash(),
                "version": environment["effnet"],
                "commit": environment["commit"],
                "seed": self.trial.seed,
                "device": environment["device"],
                "seconds": round(time.perf_counter() - self.started, 1),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
            },
            keep_equal=self.recorded,
        )
