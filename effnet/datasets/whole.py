"""Is this Stanford Cars as it was published? Told from the list alone: no image is opened."""

from pathlib import Path

import numpy as np
import pandas as pd

from effnet import thesis
from effnet.datasets import stanford
from effnet.datasets.layouts import Dataset

COLUMNS = ["level", "kind", "split", "class_name", "path", "detail"]


def against_published(dataset: Dataset) -> pd.DataFrame:
    """Findings of the counts, names and labels alone: no image is opened."""
    return pd.DataFrame([*counts(dataset), *published(dataset)], columns=COLUMNS)


def is_whole(annotations: pd.DataFrame, class_names: list[str]) -> bool:
    """Whether these rows are Stanford Cars, all of it, as published.

    That is: the 196 names in their order, the published number of images in each class and split,
    and no row whose label, split or box is not that of a published image, as far as names or boxes
    tell. Takes the `annotations` and `class_names` of a data module, or of a `Dataset`.
    """
    dataset = Dataset(Path(), annotations, class_names, "")
    return is_stanford_cars(dataset) and not len(against_published(dataset))


def is_stanford_cars(dataset: Dataset) -> bool:
    """Whether the dataset has the 196 classes of Stanford Cars, in their order."""
    return dataset.class_names == stanford.official_names() != []


def finding(table: pd.DataFrame, i: int | np.integer, level: str, kind: str, detail: str) -> tuple:
    """A finding about row `i` of the annotations, in the order of COLUMNS."""
    row = table.iloc[i]
    return level, kind, row["split"], row["class_name"], row["path"], detail


def counts(dataset: Dataset) -> list[tuple]:
    """Images per split and class, against the published ones where they are known."""
    rows = []
    names = dataset.class_names
    found = {
        split: np.bincount(part["class_id"], minlength=len(names))
        for split, part in dataset.annotations.groupby("split")
    }
    for split in ("train", "test"):
        for i in np.flatnonzero(found.get(split, np.zeros(len(names))) == 0):
            rows.append(("error", "class without images", split, names[i], "", "0 images"))
    if is_stanford_cars(dataset):
        known = thesis.annotations()
        for split, part in known.groupby("split", sort=False):
            expected = np.bincount(part["class_id"], minlength=len(names))
            here = found.get(split, np.zeros(len(names), int))
            for i in np.flatnonzero((here != expected) & (here > 0)):
                detail = f"{here[i]} images, published are {expected[i]}"
                rows.append(("error", "other number of images", split, names[i], "", detail))
    elif set(dataset.class_names) == set(stanford.official_names()):
        detail = "the 196 classes of Stanford Cars, numbered otherwise than in the published list"
        rows.append(("error", "other class ids", "", "", "", detail))
    return rows


def published(dataset: Dataset) -> list[tuple]:
    """Rows against the published list: by name in car_ims/, else by their boxes."""
    if not is_stanford_cars(dataset):
        return []
    table, known, rows = dataset.annotations, thesis.annotations(), []
    known["name"] = known["path"].str.split("/").str[-1]
    names = table["path"].str.split("/").str[-1]
    if "car_ims" in table["path"].iloc[0].split("/"):
        both = table.assign(name=names).merge(known, on="name", how="left", suffixes=("", "_known"))
        unknown = both["path_known"].isna()
        other = (both["class_id"] != both["class_id_known"]) | (
            both["split"] != both["split_known"]
        )
        for i in np.flatnonzero(unknown | other):
            if unknown[i]:
                kind, detail = "unknown image", "not in the published list"
            else:
                kind = "other label or split"
                detail = f"published as {both['split_known'][i]}, {both['class_name_known'][i]}"
            rows.append(finding(table, i, "error", kind, detail))
        lost = known[~known["name"].isin(names)]
        rows += [("error", "lost image", r.split, r.class_name, r.path, "in the published list")
                 for r in lost.itertuples()]  # fmt: skip
    elif table["x1"].notna().all():
        keys = ["class_id", "split", "x1", "y1", "x2", "y2"]
        other = table[keys].merge(known[keys].drop_duplicates(), how="left", indicator=True)
        different = np.flatnonzero(other["_merge"] == "left_only")
        detail = "no published image of its class and split has this box"
        if len(different) > len(table) / 2:
            detail = f"{len(different):,} images are not those published: cut or scaled"
            rows.append(("warning", "other boxes", "", "", "", detail))
        else:
            rows += [finding(table, i, "warning", "other box", detail) for i in different]
    return rows
