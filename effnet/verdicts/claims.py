"""Every claim of the thesis beside what this kit finds, with a verdict and what it rests on.

`python -m effnet.verdicts reports/demo` prints the table of a profile. Verdicts:

- *reproduced*: what was got agrees with the claim within the tolerance given.
- *differs*: it does not.
- *same direction*, *opposite direction*: of a claim that compares, on a part of Stanford Cars or at
  another size, with the interval over seeds (`effnet.verdicts.comparisons`).
- *within spread*: the difference is smaller than what chance makes of two runs of one setting, so
  it orders nothing; the comment says how many runs that is known from.
- *confirmed*, *not confirmed*: of a contradiction, a confounding or a note on the thesis (`kind`),
  whether the kit finds the same.
- *needs real data*: only training on the whole of Stanford Cars can tell (profile `thesis`). What
  other data gave is in the comment, never in `got`.
- *cannot be checked*: nothing that could be run here would tell; the comment says why.

`basis` says what a verdict rests on: see `effnet.verdicts.finding.BASES`.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from effnet import thesis
from effnet.datasets.layouts import read_annotations
from effnet.errors import EffnetError
from effnet.paths import relative
from effnet.spreadsheet import write_csv
from effnet.trial import resolve
from effnet.verdicts import (
    comparisons,
    confounding,
    contradictions,
    dataset,
    model,
    predictions,
    published,
    regularisation,
    results,
    settings,
    transforms,
)
from effnet.verdicts.finding import MEASURED, PUBLISHED, SET, TRAINED, Finding, as_kind
from effnet.verdicts.profile import data_label, is_part, is_real, profile_runs, read_profile
from effnet.verdicts.trained import Trained

COLUMNS = ["id", "section", "claim", "expected", "got", "unit", "tolerance", "reason"]
COLUMNS += ["verdict", "found", "figure", "notebook", "kind", "basis", "exact", "checkable_from"]
# What the table of notebook 01 must hold.
NORMALISATION = ["mean_per_image", "std_per_image", "mean_pooled", "std_pooled"]
NORMALISATION += ["whole_photographs"]
# The fields in which a run must agree with the thesis to speak for or against it.
AS_IN_THESIS: dict[str, Any] = {
    "model_name": "b0",
    "image_size": 224,
    "crop": "none",
    "padding": "symmetric",
    "normalization": "thesis",
    "validation": "test",
    "augment": True,
    "label_smoothing": 0.1,
}


def judge(reports: Path | str, data_dir: Path | str | None = None) -> pd.DataFrame:
    """A row per published claim, in their order, with columns `COLUMNS` (all text).

    Args:
        reports: the folder of a profile, with `profile.json` and `runs/`.
        data_dir: the images the runs saw; None takes the runs' own folder. Its annotations are
            counted when they are Stanford Cars.

    Raises EffnetError when `reports` is no folder.
    """
    reports = Path(reports)
    if not reports.is_dir():
        raise EffnetError(f"{relative(reports)} is no folder: `make reproduce` makes reports/demo.")
    claims = thesis.claims()
    found = _findings(reports, data_dir, claims)
    if missing := set(claims["id"]) ^ set(found):
        raise AssertionError(f"claims without a judge, or judges without a claim: {missing}")
    pairs = zip(claims["id"], claims["kind"], strict=True)
    rows = pd.DataFrame([vars(as_kind(found[claim], kind)) for claim, kind in pairs])
    table = pd.concat([claims.rename(columns={"value": "expected"}), rows], axis=1)
    return table[COLUMNS]


def write_claims(reports: Path | str, data_dir: Path | str | None = None) -> pd.DataFrame:
    """Judge and write `reports`/claims.csv; returns the table."""
    table = judge(reports, data_dir)
    write_csv(Path(reports) / "claims.csv", table)
    return table


def closing_table(reports: Path | str, notebook_name: str) -> pd.DataFrame:
    """The claims that a notebook is about, thesis beside here, for its last cell."""
    table = judge(reports)
    table = table[table["notebook"] == Path(notebook_name).stem]
    renamed = table.rename(columns={"expected": "thesis", "got": "here"})
    columns = [
        "id",
        "kind",
        "claim",
        "thesis",
        "exact",
        "here",
        "unit",
        "tolerance",
        "verdict",
        "basis",
        "found",
    ]
    return renamed[columns].reset_index(drop=True)


def _findings(
    reports: Path, data_dir: Path | str | None, claims: pd.DataFrame
) -> dict[str, Finding]:
    expected = dict(zip(claims["id"], claims["value"], strict=True))
    exact = dict(
        zip(
            claims["id"], claims["exact"].where(claims["exact"] != "", claims["value"]), strict=True
        )
    )
    profile = read_profile(reports)
    real, runs = is_real(profile), profile_runs(reports)
    if real and len(runs):
        same = [runs[field] == value for field, value in AS_IN_THESIS.items()]
        same.append(runs["data_hash"] == profile["data"]["data_hash"])
        runs = runs[pd.concat(same, axis=1).all(axis=1)].reset_index(drop=True)
    trained = Trained(runs, real, data_label(profile))
    script, thesis_profile = settings.script_trial()
    classifier = settings.script_classifier(script, len(thesis.class_names()))
    devices = sorted(runs["device"].dropna().unique()) if len(runs) else []
    topics = [
        (PUBLISHED, published.findings(expected)),
        (PUBLISHED, contradictions.findings(expected, exact)),
        (PUBLISHED, confounding.findings(expected)),
        (MEASURED, model.findings(expected)),
        (MEASURED, dataset.findings(expected, _annotations(data_dir, profile, runs))),
        (
            MEASURED,
            transforms.findings(expected, classifier, script, _normalisation(reports), real),
        ),
        (SET, settings.findings(expected, classifier, script, thesis_profile, devices)),
        (TRAINED, results.findings(expected, trained)),
        (TRAINED, regularisation.findings(expected, exact, trained)),
        (TRAINED, predictions.findings(expected, trained)),
    ]
    if is_part(profile) and len(runs):
        topics.append((TRAINED, comparisons.findings(trained)))
    return {
        claim: replace(finding, basis=basis)
        for basis, found in topics
        for claim, finding in found.items()
    }


def _annotations(
    data_dir: Path | str | None, profile: dict[str, Any], runs: pd.DataFrame
) -> pd.DataFrame | None:
    """Annotations of the data at hand; None where they are drawn cars or not on this machine."""
    if data_dir is None:
        if profile.get("data", {}).get("name") != "Stanford Cars" or runs.empty:
            return None
        try:
            return read_annotations(resolve(runs["data_dir"].iloc[0]))
        except EffnetError:  # a report can be rebuilt where the images are not
            return None
    return read_annotations(resolve(data_dir))


def _normalisation(reports: Path) -> pd.DataFrame | None:
    """The table of notebook 01; None where it is not there or damaged, which the page says."""
    try:
        table = pd.read_csv(reports / "tables" / "tab_normalisation.csv").set_index("channel")
        numbers = table.loc[["red", "green", "blue", "rgb", "gray"], NORMALISATION].astype(float)
    except (OSError, ValueError, KeyError):
        return None
    return None if numbers.isna().any(axis=None) else numbers.reset_index()
