"""Any image folder: class folders, or a CSV with path, label and split."""

import hashlib
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from effnet.datasets import stanford
from effnet.datasets.tables import header, read_table
from effnet.errors import EffnetError

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
SPLIT_NAMES = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "val": ("val", "valid", "validation"),
}
# What an image set without a split of its own gives to the test split.
TEST_SHARE = 0.2
BOX_COLUMNS = ("x1", "y1", "x2", "y2")
# Folders of Stanford Cars' own layouts: these are never classes, however incomplete the rest is.
NOT_CLASSES = {"cars_train", "cars_test", "car_ims", "devkit", "car_devkit", "stanford_cars"}


def read_class_folders(base: Path) -> tuple[pd.DataFrame, list[str]]:
    """`<class>/<image>`, or `train/<class>/<image>` and `test/` (or `val/`) beside it.

    Classes are sorted by name, images by name within their class. Returns (annotations with `path`
    relative to `base`, class names). Without split folders `split_by_name` decides. Raises
    EffnetError for a class folder without images, or a link to one that is not there: leaving it
    out would renumber the classes.
    """
    given = split_folders(base)
    parts = given or {"": base}
    paths, labels, splits, empty = [], [], [], []
    for split, folder in parts.items():
        empty += [
            f"{link.relative_to(base).as_posix()} (a link to nothing)"
            for link in sorted(folder.iterdir())
            if _may_have_been_a_folder(link)
        ]
        for class_folder in folders(folder):
            found = images(class_folder)
            if not found:
                empty.append(class_folder.relative_to(base).as_posix())
            for image in found:
                paths.append(image.relative_to(base).as_posix())
                labels.append(class_folder.name)
                splits.append(split)
    if empty:
        raise EffnetError(
            f"{base}: class folders without images: {', '.join(empty)}. Add images of the usual "
            f"kinds ({', '.join(sorted(IMAGE_SUFFIXES))}) or remove the folders."
        )
    splits = settle_splits(base, splits) if given else split_by_name(paths, labels)
    return annotation_table(base, paths, labels, splits)


def _may_have_been_a_folder(link: Path) -> bool:
    hidden = link.name.startswith(".")
    image = link.suffix.lower() in IMAGE_SUFFIXES
    return link.is_symlink() and not link.exists() and not hidden and not image


def split_folders(base: Path) -> dict[str, Path]:
    """The folders of `base` that are splits with class folders in them: {split: folder}."""
    found = {}
    for folder in folders(base):
        split = split_of(folder.name)
        if split and split not in found and any(images(f) for f in folders(folder)):
            found[split] = folder
    return found


def class_folders(base: Path) -> list[Path]:
    """The folders of `base` that can be classes: with images, and no split or part of a dataset."""
    found = [folder for folder in folders(base) if images(folder)]
    names = {folder.name.lower() for folder in found}
    return [] if any(split_of(name) for name in names) or names & NOT_CLASSES else found


def find_csv(base: Path) -> Path | None:
    """The CSV with the columns path and label: one of the usual names, or the only one."""
    fitting = [file for file in sorted(base.glob("*.csv")) if {"path", "label"} <= header(file)]
    usual = [file for file in fitting if file.stem in ("annotations", "labels", "dataset")]
    if len(usual) != 1 and len(fitting) > 1:
        names = ", ".join(file.name for file in fitting)
        raise EffnetError(f"{base}: several CSVs list images ({names}); give one as data_dir.")
    return next(iter(usual or fitting), None)


def read_csv(file: Path) -> tuple[pd.DataFrame, list[str]]:
    """A CSV with the columns path, label and at most split, class_id, x1, y1, x2, y2.

    Paths are relative to the CSV's folder; labels are names (or numbers, then sorted as numbers).
    Returns (annotations, class names). Raises EffnetError on anything but a well-formed table.
    """
    columns = read_table(file)
    boxes = [name for name in BOX_COLUMNS if name in columns]
    unknown = set(columns) - {"path", "label", "split", "class_id", *BOX_COLUMNS}
    # A misspelled split or box column must not be taken for a missing one.
    if unknown or not {"path", "label"} <= set(columns) or len(boxes) not in (0, 4):
        raise EffnetError(
            f"{file}: needs the columns path and label; allowed are split, class_id and, all "
            f"four together, {', '.join(BOX_COLUMNS)}; found {', '.join(columns)}."
        )
    paths = [str(path) for path in stanford.check_paths(file, np.array(columns["path"], object))]
    labels = columns["label"]
    if "split" in columns:
        found = [split_of(value) for value in columns["split"]]
        if None in found:
            row = found.index(None)
            raise EffnetError(
                f"{file}: 'split' of line {row + 2} is {columns['split'][row]!r}; "
                "allowed are train, test and val."
            )
        splits = settle_splits(file, [split for split in found if split])
    else:
        splits = split_by_name(paths, labels)
    given = columns.get("class_id")
    ids = None if given is None else stanford.numbers(file, "class_id", np.array(given, object))
    return annotation_table(
        file,
        paths,
        labels,
        splits,
        [np.array(columns[name], object) for name in boxes] or None,
        ids,
    )


def split_of(name: str) -> str | None:
    """ "train", "test" or "val" for a usual name of a split, else None."""
    lower = name.strip().lower()
    return next((split for split, names in SPLIT_NAMES.items() if lower in names), None)


def settle_splits(where: Path, splits: list[str]) -> list[str]:
    """Two splits out of up to three: val is the test split where there is no other, else train.

    The kit holds its own validation images out of the training split (`validation="holdout"`).
    """
    val = "train" if "test" in splits else "test"
    splits = [val if split == "val" else split for split in splits]
    for split in ("train", "test"):
        if split not in splits:
            raise EffnetError(f"{where}: has no {split} images; both train and test are needed.")
    return splits


def split_by_name(paths: list[str], labels: list[str]) -> list[str]:
    """A fixed stratified split: of each class the fifth with the smallest SHA-256 of its path.

    It depends on nothing but the names, so adding images moves few of the others. A class of one
    image stays in the training split.
    """
    digests = [hashlib.sha256(os.fsencode(path)).digest() for path in paths]
    order = sorted(range(len(paths)), key=lambda i: digests[i])
    quota = {
        name: max(1, round(count * TEST_SHARE)) if count > 1 else 0
        for name, count in Counter(labels).items()
    }
    splits = ["train"] * len(paths)
    for i in order:
        if quota[labels[i]]:
            quota[labels[i]] -= 1
            splits[i] = "test"
    return splits


def folders(base: Path) -> list[Path]:
    """Folders of a folder, sorted; hidden ones and what macOS and Jupyter leave behind are not."""
    if not base.is_dir():
        return []
    found = [path for path in base.iterdir() if path.is_dir() and path.name != "__MACOSX"]
    return sorted(path for path in found if not path.name.startswith("."))


def images(folder: Path) -> list[Path]:
    """What has an image's suffix in a folder, sorted by name.

    Also a link to nothing, a folder or a pipe of such a name: these are bad images, not none.
    """
    found = [path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES]
    return sorted(path for path in found if not path.name.startswith("."))


def annotation_table(
    where: Path,
    paths: list[str],
    labels: list[str],
    splits: list[str],
    boxes: list[np.ndarray] | None = None,
    ids: np.ndarray | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """(annotations, class names) out of columns: classes numbered from 0, train before test.

    Classes are numbered as `ids` say, else officially where all are Stanford Cars', else by number
    or name. Raises EffnetError for no images, a row without a label, a class without a training
    image, and ids with gaps.
    """
    stanford.refuse_names(where, "images", paths)
    stanford.refuse_names(where, "classes", labels)
    empty = [i for i, label in enumerate(labels) if not label.strip()]
    if empty or not paths:
        raise EffnetError(
            f"{where}: no images."
            if not paths
            else f"{where}: row {empty[0] + 1} ({paths[empty[0]]}) has no label."
        )
    seen = {
        split: {x for x, s in zip(labels, splits, strict=True) if s == split}
        for split in ("train", "test")
    }
    unseen = sorted(seen["test"] - seen["train"])
    if unseen:
        raise EffnetError(
            f"{where}: {len(unseen)} classes have test images and no training images: "
            f"{', '.join(unseen[:5])}. Are they spelled alike in both splits?"
        )
    names = _ordered(where, labels, ids)
    known = stanford.official_order(names)
    if known:  # a copy of Stanford Cars, whose slashes and ids got lost on the way
        names = sorted(names, key=lambda name: known[name][0])
    number = {name: i for i, name in enumerate(names)}
    table = stanford.build(
        where,
        paths,
        np.array([number[label] for label in labels]),
        [known[name][1] if known else name for name in names],
        np.array(splits, object),
        boxes,
    )
    order = np.argsort(table["split"] == "test", kind="stable")
    return table.iloc[order].reset_index(drop=True), [
        known[name][1] if known else name for name in names
    ]


def _ordered(where: Path, labels: list[str], ids: np.ndarray | None) -> list[str]:
    """Class names by id: as given, numerically where all are whole numbers, else by name."""
    names = sorted(set(labels))
    if ids is None:
        numeric = all(re.fullmatch(r"\d{1,9}", name) for name in names)
        return sorted(names, key=int) if numeric else names
    pairs = sorted({(float(i), label) for i, label in zip(ids, labels, strict=True)})
    if [i for i, _ in pairs] != list(range(len(pairs))) or len(pairs) != len(names):
        raise EffnetError(
            f"{where}: class_id must number the {len(names)} labels from 0 without gaps, one id "
            "per label and one label per id."
        )
    return [label for _, label in pairs]
