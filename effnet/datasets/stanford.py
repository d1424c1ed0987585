"""Stanford Cars as it was published: the readers of its own annotation files.

Krause et al., "3D Object Representations for Fine-Grained Categorization", 2013: 16,185 images,
196 classes, an official split. Ids are 1-based in the .mat files and 0-based everywhere here.
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from effnet.datasets.matfiles import read_mat, read_names, read_records
from effnet.datasets.tables import read_columns
from effnet.errors import EffnetError
from effnet.paths import DATA

COLUMNS = ["path", "class_id", "class_name", "split", "x1", "y1", "x2", "y2"]
BOX_FIELDS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
# Copies put the devkit's files into its own folder, beside the images, or one folder deeper.
DEVKIT = ("", "devkit", "car_devkit", "car_devkit/devkit")


def find(base: Path, name: str) -> Path | None:
    """An annotation file by name, in the folder or in one of the usual devkit folders."""
    return next((base / d / name for d in DEVKIT if (base / d / name).is_file()), None)


def find_images(base: Path, name: str) -> Path | None:
    """A folder of images by name; the popular Kaggle copy nests it in one of the same name."""
    nested = base / name / name
    folder = nested if nested.is_dir() else base / name
    return folder if folder.is_dir() else None


def read_split_folders(base: Path) -> tuple[pd.DataFrame, list[str]]:
    """`cars_train/` and `cars_test/` with one .mat each; returns (annotations, class names).

    The annotations' `path` is relative to `base`.
    """
    meta = find(base, "cars_meta.mat")
    assert meta
    names, parts = read_names(meta), []
    for split, mat in (
        ("train", "cars_train_annos.mat"),
        ("test", "cars_test_annos_withlabels.mat"),
    ):
        file, images = find(base, mat), find_images(base, f"cars_{split}")
        assert file and images
        folder = images.relative_to(base)
        *boxes, ids, files = read_records(file, "annotations", (*BOX_FIELDS, "class", "fname"))
        paths = [str(folder / name) for name in check_paths(file, files)]
        parts.append(build(file, paths, class_ids(file, ids, names, first=1), names, split, boxes))
    return pd.concat(parts, ignore_index=True), names


def read_car_ims(base: Path) -> tuple[pd.DataFrame, list[str]]:
    """`car_ims/` with all images and one list with a `test` flag, as the thesis had it.

    The list is `cars_annos.mat` (ids from 1) or the thesis's conversion `cars_annos.csv` (from 0).
    Returns (annotations with `path` relative to `base`, class names).
    """
    fields = ("relative_im_path", *BOX_FIELDS, "class", "test")
    file = find(base, "cars_annos.mat")
    if file:
        variables = read_mat(file)
        meta = find(base, "cars_meta.mat")
        if "class_names" in variables:
            names = read_names(file)
        else:
            names = read_names(meta) if meta else official_names()
        columns, first = read_records(file, "annotations", fields), 1
    else:
        file = find(base, "cars_annos.csv")
        assert file
        meta = find(base, "cars_meta.mat")
        names = read_names(meta) if meta else official_names()
        columns, first = read_columns(file, fields), 0
    if not names:
        raise EffnetError(f"{file}: names no classes; put devkit/cars_meta.mat beside it.")
    files, *boxes, ids, test = columns
    test = numbers(file, "test", test)
    if not np.isin(test, (0, 1)).all() or test.min() == test.max():
        raise EffnetError(f"{file}: 'test' must be 0 or 1 and both must occur.")
    images = find_images(base, "car_ims")
    assert images
    folder = images.relative_to(base)
    paths = [str(folder / path.name) for path in check_paths(file, files)]
    split = np.where(test == 1, "test", "train").astype(object)
    table = build(file, paths, class_ids(file, ids, names, first), names, split, boxes)
    order = np.argsort(test, kind="stable")
    return table.iloc[order].reset_index(drop=True), names


def official_names() -> list[str]:
    """The 196 class names in their official order, or [] where the checkout lacks the list."""
    file = DATA / "thesis" / "class_names.csv"
    if not file.is_file():
        return []
    columns = read_columns(file, ("class_id", "class_name"))
    return [name for _, name in sorted(zip(map(int, columns[0]), columns[1], strict=True))]


def refuse_names(where: Path, what: str, names: Iterable[str]) -> None:
    """Raise EffnetError for names that cannot stand in a list of UTF-8, one a line."""
    if odd := sorted({name for name in names if UNWRITABLE.search(name)}):
        shown = ", ".join(repr(name) for name in odd[:5]) + (", ..." if len(odd) > 5 else "")
        raise EffnetError(
            f"{where}: {len(odd)} names of {what} hold line breaks, other control characters or "
            f"bytes that are no UTF-8: {shown}. Rename them."
        )


@cache
def plain_name(name: str) -> str:
    """A class name to compare: spaces, signs and capitals do not count."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def official_order(names: list[str]) -> dict[str, tuple[int, str]]:
    """{name: (official id, official name)} where every name is one of the 196, else {}.

    Folder names lose the slash of "Ram C/V Cargo Van Minivan 2012", spaces, case: only letters
    and digits are compared.
    """
    known = {plain_name(name): (i, name) for i, name in enumerate(official_names())}
    found = {name: known[plain_name(name)] for name in names if plain_name(name) in known}
    return found if len(set(found.values())) == len(names) else {}


def check_paths(file: Path, values: np.ndarray) -> list[PurePosixPath]:
    """Image names of an annotation file as relative POSIX paths, all distinct."""
    paths = []
    for row, value in enumerate(values):
        if not isinstance(value, str) or not value.strip() or "\x00" in value:
            raise EffnetError(f"{file}: row {row + 1} has no image name, found {value!r}.")
        path = PurePosixPath(value.strip().replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
            raise EffnetError(
                f"{file}: row {row + 1} points outside the folder: {value!r}. Paths start at the "
                "folder of this file, so that the data set can be moved: write them relative to it "
                "(as cars/1.jpg), and put the file above its images."
            )
        paths.append(path)
    if len(set(paths)) < len(paths):
        twice = pd.Series([str(path) for path in paths])
        twice = twice[twice.duplicated()].unique().tolist()
        raise EffnetError(f"{file}: {len(twice)} images are listed twice: {', '.join(twice[:5])}.")
    refuse_names(file, "images", map(str, paths))
    return paths


def class_ids(file: Path, values: np.ndarray, names: list[str], first: int) -> np.ndarray:
    """Ids as int64 from 0; the file counts from `first`. Raises EffnetError outside the names."""
    ids = numbers(file, "class", values)
    bad = (ids != np.floor(ids)) | (ids < first) | (ids >= first + len(names))
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise EffnetError(
            f"{file}: {int(bad.sum())} class ids are not whole numbers from {first} to "
            f"{first + len(names) - 1}; row {row + 1} has {values[row]!r}."
        )
    return ids.astype(np.int64) - first


def numbers(file: Path, column: str, values: np.ndarray) -> np.ndarray:
    """A column as finite float64 of shape (N,); EffnetError names the first row that is none."""
    result = pd.to_numeric(pd.Series([_plain(v) for v in values], dtype=object), errors="coerce")
    result = result.to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(result))
    if len(bad):
        row = int(bad[0])
        raise EffnetError(f"{file}: '{column}' of row {row + 1} is {values[row]!r}, not a number.")
    return result


def build(
    file: Path,
    paths: list[str],
    ids: np.ndarray,
    names: list[str],
    split: str | np.ndarray,
    boxes: list[np.ndarray] | None,
) -> pd.DataFrame:
    """The annotations' DataFrame (columns COLUMNS), in the given order; no boxes gives NaN."""
    table = pd.DataFrame({"path": paths, "class_id": np.asarray(ids, dtype=np.int64)})
    table["class_name"] = [names[i] for i in ids]
    table["split"] = split
    for i, column in enumerate(("x1", "y1", "x2", "y2")):
        field = BOX_FIELDS[i]
        table[column] = np.nan if boxes is None else numbers(file, field, boxes[i])
    return table[COLUMNS]


def _plain(value: object) -> object:
    """A scalar out of MATLAB's 1x1 arrays; anything longer is no number."""
    if isinstance(value, np.ndarray):
        return value.item() if value.size == 1 and value.dtype.kind in "biuf" else None
    return None if isinstance(value, (bytes, complex, bool)) else value
