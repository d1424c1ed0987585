"""`make check-data`: is this dataset what it should be, and fit to train on?

`python -m effnet.datasets.check DATA_DIR [--csv FILE]`. A table on screen, every finding as a row
of a CSV, exit code 1 where training would suffer.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd

from effnet import thesis
from effnet.datasets.facts import MAX_PAIRS, look, near_duplicates
from effnet.datasets.folders import images as image_files
from effnet.datasets.layouts import Dataset, open_dataset
from effnet.datasets.whole import COLUMNS, counts, finding, is_stanford_cars, published
from effnet.errors import EffnetError
from effnet.files import CannotWrite, atomic_write
from effnet.paths import DATA, relative

LEVELS = ("error", "warning", "note")
# Leaked test images can lift the accuracy, contradictory labels lower it, by at most their share.
# Stanford Cars is published with some: 34 of the 6,509 images looked at show a photograph that
# also stands under another class. In all 16,185 the share should be twice that (pairs grow with
# the square), so up to 2 % is a warning and more an error.
TOLERATED_SHARE = 0.02
# PIL converts these to RGB as the training does; PNG's and GIF's transparency is dropped.
PLAIN_MODE = "RGB"
LONGEST_SIDE, LARGEST_ASPECT = 10_000, 10.0


def check(
    data_dir: str | Path, workers: int | None = None, progress: bool = True
) -> tuple[Dataset, pd.DataFrame]:
    """Read, decode and compare everything; returns the dataset and its findings.

    Findings: one row each, worst first, columns level ("error": training would suffer, "warning":
    look at it, "note": good to know), kind, split, class_name, path (of the image, or ""), detail.
    Raises EffnetError where the annotations cannot be read at all.
    """
    dataset = open_dataset(data_dir)
    table = dataset.annotations
    facts, thumbs = look(dataset.root, table["path"].tolist(), workers, progress)
    rows = [
        *counts(dataset),
        *_files(table, facts),
        *_boxes(table, facts),
        *_duplicates(table, facts, thumbs),
        *published(dataset),
        *_unlisted(dataset),
    ]
    findings = pd.DataFrame(rows, columns=COLUMNS)
    findings["level"] = pd.Categorical(findings["level"], LEVELS, ordered=True)
    return dataset, findings.sort_values(["level", "kind"], kind="stable", ignore_index=True)


def _files(table: pd.DataFrame, facts: pd.DataFrame) -> list[tuple]:
    rows = []
    for i, fact in enumerate(facts.itertuples(index=False)):
        if fact.error:
            kind, _, reason = fact.error.partition(": ")
            rows.append(finding(table, i, "error", f"{kind} file", reason))
            continue
        if fact.mode != PLAIN_MODE:
            rows.append(finding(table, i, "note", f"mode {fact.mode}", "converted to RGB"))
        if fact.rotated:
            detail = "the EXIF orientation is ignored, as in the thesis; is it upright?"
            rows.append(finding(table, i, "warning", "EXIF-rotated", detail))
        long, short = max(fact.width, fact.height), min(fact.width, fact.height)
        if long > LONGEST_SIDE or long > LARGEST_ASPECT * short:
            size = f"{fact.width} x {fact.height} pixels"
            rows.append(finding(table, i, "note", "unusual size", size))
    return rows


def _boxes(table: pd.DataFrame, facts: pd.DataFrame) -> list[tuple]:
    """Boxes count pixels from 1 and hold their last row and column."""
    rows = []
    x1, y1, x2, y2 = (table[name].to_numpy() for name in ("x1", "y1", "x2", "y2"))
    width, height = facts["width"].to_numpy(), facts["height"].to_numpy()
    known = ~np.isnan(x1) & (facts["error"] == "").to_numpy()
    empty = (x2 < x1) | (y2 < y1) | (x1 > width) | (y1 > height) | (x2 < 1) | (y2 < 1)
    beyond = (x1 < 1) | (y1 < 1) | (x2 > width) | (y2 > height)
    for i in np.flatnonzero(known & (empty | beyond)):
        box = ", ".join(f"{value:g}" for value in (x1[i], y1[i], x2[i], y2[i]))
        detail = f"box {box} in an image of {width[i]} x {height[i]}"
        level, kind = ("error", "box without area") if empty[i] else ("warning", "box beyond image")
        rows.append(finding(table, i, level, kind, detail))
    return rows


def _duplicates(table: pd.DataFrame, facts: pd.DataFrame, thumbs: np.ndarray) -> list[tuple]:
    """Pairs of the same image: by its bytes, and by what it shows."""
    same = defaultdict(list)
    for i, value in enumerate(facts["sha256"]):
        if value:
            same[value].append(i)
    exact = [(group[0], j) for group in same.values() for j in group[1:]]
    first = np.zeros(len(table), bool)
    first[[group[0] for group in same.values()]] = True
    near = near_duplicates(thumbs, first & (facts["error"] == "").to_numpy())
    pairs = [(i, j, "same file") for i, j in exact]
    pairs += [(i, j, f"same picture, correlation {value:.3f}") for i, j, value in near]
    split, label = table["split"].to_numpy(), table["class_id"].to_numpy()
    across = {(i if split[i] == "test" else j) for i, j, _ in pairs if split[i] != split[j]}
    torn = {k for i, j, _ in pairs if label[i] != label[j] for k in (i, j)}
    leak = "error" if len(across) > TOLERATED_SHARE * (split == "test").sum() else "warning"
    clash = "error" if len(torn) > TOLERATED_SHARE * len(table) else "warning"
    rows = []
    if len(near) == MAX_PAIRS:
        detail = "too many alike to list them all: these pictures are too simple to compare so"
        rows.append(("warning", "duplicates not listed", "", "", "", detail))
    for i, j, how in pairs:
        detail = f"{how} as {table['path'][j]} ({split[j]}, {table['class_name'][j]})"
        if split[i] != split[j]:
            rows.append(finding(table, i, leak, "in both splits", detail))
        if label[i] != label[j]:
            rows.append(finding(table, i, clash, "in two classes", detail))
        if split[i] == split[j] and label[i] == label[j]:
            rows.append(finding(table, i, "note", "duplicate", detail))
    return rows


def _unlisted(dataset: Dataset) -> list[tuple]:
    listed = set(dataset.annotations["path"])
    rows = []
    for folder in sorted({Path(path).parent for path in listed}):
        if (dataset.root / folder).is_dir():
            found = [folder / file.name for file in image_files(dataset.root / folder)]
            for path in found:
                if path.as_posix() not in listed:
                    # Not refused as those of the list are: it may hold bytes that are no UTF-8.
                    name = path.as_posix().encode(errors="backslashreplace").decode()
                    rows.append(("note", "image without label", "", "", name, "unused"))
    return rows


def summary(dataset: Dataset, findings: pd.DataFrame) -> str:
    """The table for the screen."""
    table = dataset.annotations
    known = len(thesis.annotations()) if is_stanford_cars(dataset) else None
    published = thesis.annotations()["split"].value_counts() if known else {}
    lines = [f"{relative(dataset.root)}: {dataset.layout}", ""]
    lines.append(f"{'split':<8}{'images':>10}{'classes':>10}" + f"{'published':>12}" * bool(known))
    for split in ("train", "test"):
        part = table[table["split"] == split]
        line = f"{split:<8}{len(part):>10,}{part['class_id'].nunique():>10,}"
        lines.append(line + (f"{published[split]:>12,}" if known else ""))
    lines.append("")
    if not len(findings):
        return "\n".join([*lines, "Nothing to report."])
    lines.append(f"{'level':<9}{'count':>7}  {'what':<24}first")
    for (level, kind), part in findings.groupby(["level", "kind"], observed=True):
        row = part.iloc[0]
        where = row["path"] or " ".join(filter(None, (row["split"], row["class_name"])))
        first = ": ".join(filter(None, (where, row["detail"])))
        lines.append(f"{level:<9}{len(part):>7,}  {kind:<24}{first}")
    return "\n".join(lines)


def _save(findings: pd.DataFrame, file: Path) -> str:
    """Write every finding to a CSV; returns the line that says so, or why not, and all of them."""
    try:
        with atomic_write(file) as temporary:
            findings.to_csv(temporary, index=False)
    except (CannotWrite, OSError) as error:
        return (
            f"{findings.to_csv(index=False)}\n"
            f"Not saved: {error} Every finding stands above; name another file with --csv."
        )
    return f"Every finding: {relative(file)}"


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code: 0 fit, 1 training would suffer, 2 unreadable."""
    parser = argparse.ArgumentParser("python -m effnet.datasets.check", description=__doc__)
    parser.add_argument("data_dir", nargs="?", default=str(DATA / "stanford_cars"))
    parser.add_argument("--csv", type=Path, help="where to write the findings")
    parser.add_argument("--workers", type=int, help="threads (default: as many as cores)")
    options = parser.parse_args(arguments)
    try:
        dataset, findings = check(options.data_dir, options.workers)
    except EffnetError as error:
        print(error, file=sys.stderr)
        return 2
    print(summary(dataset, findings))
    name = dataset.root.resolve().name[:60]
    print("\n" + _save(findings, options.csv or DATA / f"check-{name}.csv"))
    errors = int((findings["level"] == "error").sum())
    print(f"{errors} errors: mend them before training." if errors else "Fit to train on.")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
