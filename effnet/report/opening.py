"""The first screen of a report: what was found, checked and is open, and the key comparison."""

from pathlib import Path
from typing import Any

import pandas as pd

from effnet import thesis
from effnet.plots.groups import (
    GRID,
    PUBLISHED_BEST,
    best_of,
    group_name,
    of_group,
    run_label,
)
from effnet.plots.overview import group_lines
from effnet.plots.scatter import mean_interval
from effnet.report.story import FOUND
from effnet.verdicts.finding import CANNOT_BE_CHECKED, DECIDED, NEEDS_REAL_DATA
from effnet.verdicts.profile import command_profile, data_label, is_part, is_real
from effnet.verdicts.summary import ABOUT_THE_THESIS, NAMES, part_of

ACCURACY = "max_val_acc_batch_mean"


def sentences(reports: Path, claims: pd.DataFrame, profile: dict[str, Any]) -> dict[str, str]:
    """What the thesis `found`, what was `checked` here, what is `open` and what would decide it."""
    best = thesis.published_runs().set_index("run")["max_val_acc"]
    found = FOUND.format(**{group: 100 * best[PUBLISHED_BEST[group]] for group in GRID})
    own = claims[claims["kind"] == "claim"]
    decided = own["verdict"].isin(DECIDED)
    trained = own["basis"] == "trained"
    checked = (
        f"Of its {len(own)} claims {int(decided.sum())} are decided here, "
        f"{int((decided & trained).sum())} of them by runs on {data_label(profile)}, and "
        f"{len(claims) - len(own)} contradictions, confoundings and notes of ours are checked."
    )
    waiting = int((own["verdict"] == NEEDS_REAL_DATA).sum())
    never = int((own["verdict"] == CANNOT_BE_CHECKED).sum())
    what = "all photographs of Stanford Cars at the thesis's size"
    if is_real(profile):
        command = f"make reproduce PROFILE={command_profile(reports)}"
        still = f"{waiting} wait for runs of the thesis's setting (`{command}`)"
    else:
        still = f"{waiting} need {what}: `make reproduce PROFILE=thesis` on a GPU decides them"
    after = f"; {never} could not be checked by anyone" if never else ""
    return {"found": found, "checked": checked, "open": f"{still}{after}."}


def comparison(runs: pd.DataFrame, profile: dict[str, Any]) -> dict[str, Any]:
    """The thesis's three groups in percent, published beside here.

    A row each: `group`, `published` with its run, and `here` (mean over the seeds of the repeated
    setting, or the best run), `interval` (half of the 95 % one; None with one seed), `seeds`,
    `best` and its run. `note` says what a reader must know to compare.
    """
    best = thesis.published_runs().set_index("run")["max_val_acc"]
    lines = {line.group: line for line in group_lines(runs) if not line.whole}
    rows = []
    for group in GRID:
        row: dict[str, Any] = {
            "group": group_name(group),
            "published": 100 * best[PUBLISHED_BEST[group]],
            "published_run": PUBLISHED_BEST[group],
            "here": None,
        }
        if group in lines:
            values = 100 * lines[group].runs[ACCURACY]
            top = best_of(runs, group)
            assert top is not None
            row |= {
                "here": values.mean(),
                "interval": mean_interval(values) if len(values) > 1 else None,
                "seeds": len(values),
                "best": 100 * top[ACCURACY],
                "best_run": run_label(top, group=False),
                "label": lines[group].label,
            }
        rows.append(row)
    return {"rows": rows, "note": _note(runs, profile)}


def _note(runs: pd.DataFrame, profile: dict[str, Any]) -> str:
    if runs.empty:
        return "Nothing is trained yet."
    sizes = of_group(runs, "all")["image_size"]  # of the groups compared
    size = ", ".join(f"{value:g}" for value in sorted(set(sizes)))
    if is_real(profile):
        return "The same photographs as the thesis's."
    if is_part(profile):
        return (
            f"Here {data_label(profile)} of Stanford Cars at {size} px; the thesis had 16,185 at "
            "224 px. The order of the groups compares, the heights do not."
        )
    return (
        f"Here {data_label(profile)} at {size} px: drawn cars, other classes and a toy's size. "
        "Neither heights nor order say anything about the thesis."
    )


def claim_map(chapters: list[dict[str, Any]], claims: list[dict[str, str]]) -> dict[str, Any]:
    """All claims as a table of dots: a row per chapter, a column per kind of evidence."""
    parts = [*NAMES.values(), ABOUT_THE_THESIS]
    rows = []
    for chapter in chapters:
        own = [c for c in claims if c["section"].split(".")[0] == chapter["number"]]
        cells = [[c for c in own if part_of(c) == part] for part in parts]
        if own:
            rows.append({"number": chapter["number"], "title": chapter["title"], "cells": cells})
    return {"parts": parts, "rows": rows}
