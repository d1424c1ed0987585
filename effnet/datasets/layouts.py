"""A folder of images, in any of the layouts people have, as one DataFrame.

To read another layout, write its reader (a function of the folder that returns annotations and
class names) and add a row to LAYOUTS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from effnet.datasets import folders, shards, stanford
from effnet.datasets.archives import find_archives, folder_key, unpack
from effnet.errors import EffnetError
from effnet.paths import DATA

TORCHVISION = "torchvision:"


@dataclass(frozen=True)
class Dataset:
    """What `open_dataset` found.

    root: the folder that `annotations.path` is relative to. It is the folder asked for, except
        where its content had to be written to files first (archives, parquet, `torchvision:NAME`).
    annotations: see `read_annotations`.
    class_names: names by class id; at least max(class_id) + 1 of them.
    layout: its name, for messages.
    """

    root: Path
    annotations: pd.DataFrame
    class_names: list[str]
    layout: str


@dataclass(frozen=True)
class Layout:
    """A layout: what a folder must hold, by the words that name it, and who reads it."""

    name: str
    needs: dict[str, Callable[[Path], object]]
    read: Callable[[Path], tuple[pd.DataFrame, list[str]]]

    def missing(self, base: Path) -> list[str]:
        return [words for words, holds in self.needs.items() if not holds(base)]


def _folder(name: str) -> dict[str, Callable[[Path], object]]:
    return {f"{name}/": lambda base: stanford.find_images(base, name)}


def _file(*names: str) -> dict[str, Callable[[Path], object]]:
    return {" or ".join(names): lambda base: any(stanford.find(base, name) for name in names)}


def _read_csv(base: Path) -> tuple[pd.DataFrame, list[str]]:
    file = folders.find_csv(base)
    assert file
    return folders.read_csv(file)


LAYOUTS = (
    Layout(
        "Stanford Cars as torchvision reads it, or nested as on Kaggle",
        {
            **_folder("cars_train"),
            **_folder("cars_test"),
            **_file("cars_meta.mat"),
            **_file("cars_train_annos.mat"),
            **_file("cars_test_annos_withlabels.mat"),
        },
        stanford.read_split_folders,
    ),
    Layout(
        "Stanford Cars in one folder, as the thesis had it",
        {**_folder("car_ims"), **_file("cars_annos.mat", "cars_annos.csv")},
        stanford.read_car_ims,
    ),
    Layout(
        "a CSV of images",
        {"a .csv with the columns path, label and, optionally, split": folders.find_csv},
        _read_csv,
    ),
    Layout(
        "class folders with a split",
        {
            "train/<class>/<image>": lambda base: "train" in folders.split_folders(base),
            "test/<class>/<image> (or val/)": lambda base: (
                {"test", "val"} & set(folders.split_folders(base))
            ),
        },
        folders.read_class_folders,
    ),
    Layout(
        "class folders",
        {"two or more of <class>/<image>": lambda base: len(folders.class_folders(base)) > 1},
        folders.read_class_folders,
    ),
)
# These are turned into files first.
PARQUET = "Hugging Face parquet shards: train*.parquet, test*.parquet (or validation*)"
ARCHIVES = "archives of one of these: .tgz, .tar, .tar.gz, .tar.bz2, .tar.xz, .zip"


def open_dataset(data_dir: str | Path, work_dir: str | Path | None = None) -> Dataset:
    """Detect the layout of `data_dir` from its content and read its annotations.

    `data_dir` is a folder, an archive, a CSV, or "torchvision:NAME" for a dataset class of
    torchvision whose files lie in `data/torchvision` ("torchvision:NAME@FOLDER" elsewhere).
    Archives, parquet shards and torchvision's classes are written to files once, below `work_dir`
    (default `data/unpacked`); the files given are left as they are.

    Raises EffnetError when there is nothing, no layout fits (the message lists what was found,
    what each layout needs, what the nearest one lacks), the annotations are damaged, there is one
    class only, or a name cannot be written to a list.
    """
    text = str(data_dir)
    if stanford.UNWRITABLE.search(text):
        raise EffnetError(
            f"data_dir {text!r}: its path holds control characters or bytes that are no UTF-8, "
            "which no record of a run can hold. Rename it."
        )
    try:
        return _open(text, Path(work_dir or DATA / "unpacked"))
    except OSError as error:
        raise EffnetError(
            f"data_dir {text}: {error.filename or text} cannot be read ({error.strerror or error})."
        ) from None


def _open(text: str, work_dir: Path) -> Dataset:
    if text.startswith(TORCHVISION):
        name, _, folder = text.removeprefix(TORCHVISION).partition("@")
        source = Path(folder).expanduser() if folder else DATA / "torchvision"
        target = work_dir / f"torchvision-{name}-{folder_key([source] if folder else [])}"
        read = partial(_read, asked=text)
        return read(shards.export_torchvision(name, source, target, read))
    root = Path(text).expanduser()
    if root.is_file() and root.suffix.lower() == ".csv":
        return _checked(root.parent, *folders.read_csv(root), "a CSV of images")
    if root.is_file() and find_archives(root.parent).count(root):
        return _read(unpack([root], work_dir / _key_name(root, [root])), text)
    if not root.is_dir():
        raise EffnetError(
            f"data_dir {text}: there is no such folder, archive or CSV. `make data` says how to "
            "get Stanford Cars."
        )
    return _read(root, text, work_dir)


def read_annotations(data_dir: str | Path) -> pd.DataFrame:
    """The annotations of `open_dataset(data_dir)`: one row per image, train rows first.

    Columns: path (str, POSIX, relative to the dataset's root), class_id (int64, from 0),
    class_name (str), split ("train" or "test"), x1, y1, x2, y2 (float64, pixels of the full image
    as annotated; NaN where the layout has no boxes). Raises EffnetError.
    """
    return open_dataset(data_dir).annotations


def class_names(annotations: pd.DataFrame) -> list[str]:
    """Names by class id, 0 to the largest id; an id without a row is called "class <id>"."""
    names = [f"class {i}" for i in range(int(np.max(annotations["class_id"])) + 1)]
    for i, name in annotations.drop_duplicates("class_id")[["class_id", "class_name"]].to_numpy():
        names[i] = name
    return names


def _read(root: Path, asked: str, work_dir: Path | None = None) -> Dataset:
    """Read a folder; with `work_dir`, shards and archives in it are written to files there."""
    bases = _bases(root)
    for layout in LAYOUTS:
        for base in bases:
            if not layout.missing(base):
                table, names = layout.read(base)
                prefix = base.relative_to(root)
                table["path"] = [(prefix / path).as_posix() for path in table["path"]]
                return _checked(root, table, names, layout.name)
    for base in bases:
        if work_dir and (found := shards.find_shards(base)):
            target = work_dir / _key_name(root, found)
            read = partial(_read, asked=asked)
            return read(shards.export_parquet(found, target, read))
        if work_dir and (found := find_archives(base)):
            loose = [path for path in sorted(base.iterdir()) if path.suffix in (".mat", ".csv")]
            loose = [path for path in loose if path.is_file()]
            target = work_dir / _key_name(root, found + loose)
            return _read(unpack(found, target, loose), asked)
    raise EffnetError(_no_layout(asked, root, bases))


def _key_name(root: Path, files: list[Path]) -> str:
    """The name of the folder that these files of `root` are unpacked to."""
    return f"{root.resolve().name[:60]}-{folder_key(files)}"


def _bases(root: Path) -> list[Path]:
    """Where a layout may begin: the folder, `stanford_cars/` in it, or a lone folder's inside."""
    bases = [root, root / "stanford_cars"]
    for _ in range(3):
        inner = folders.folders(bases[-1] if len(bases) > 2 else root)
        if len(inner) != 1 or inner[0] in bases:
            break
        bases.append(inner[0])
    return [base for base in bases if base.is_dir()]


def _checked(root: Path, table: pd.DataFrame, names: list[str], layout: str) -> Dataset:
    if not len(table):
        raise EffnetError(f"{root}: its annotations ({layout}) list no images.")
    if len(names) < 2:
        raise EffnetError(
            f"{root}: has one class only ({names[0]}); there must be two to tell apart."
        )
    if not any((root / path).is_file() for path in table["path"]):
        raise EffnetError(
            f"{root}: none of the {len(table)} images of its annotations exist; the first would "
            f"be {root / table['path'][0]}."
        )
    return Dataset(root, table, names, layout)


def _no_layout(asked: str, root: Path, bases: list[Path]) -> str:
    """The message for a folder that fits nothing: found, needed, and what the nearest one lacks."""
    entries = sorted(root.iterdir())
    found = [f"{path.name}/" if path.is_dir() else path.name for path in entries]
    more = f" and {len(found) - 12} more" if len(found) > 12 else ""
    share = {}
    for layout in LAYOUTS:
        for base in bases:
            missing = layout.missing(base)
            share[layout.name, base] = (1 - len(missing) / len(layout.needs), missing)
    (name, base), (best, missing) = max(share.items(), key=lambda item: item[1][0])
    lines = [
        f"data_dir {asked}: fits no layout." + (f" (unpacked to {root})" * (str(root) != asked)),
        f"Found: {', '.join(found[:12]) or 'nothing'}{more}.",
        "Layouts and what they need:",
        *(f"  - {layout.name}: {', '.join(layout.needs)}" for layout in LAYOUTS),
        f"  - {PARQUET}",
        f"  - {ARCHIVES}",
    ]
    if best:
        lines.append(f"Nearest: {name}, in {base}; missing: {', '.join(missing)}.")
    if stanford.find_images(base, "cars_train") and stanford.find(base, "cars_annos.mat"):
        lines.append(
            "cars_annos.mat does not label these images: it numbers those of car_ims/. Needed are "
            "the devkit (car_devkit.tgz) and cars_test_annos_withlabels.mat."
        )
    return "\n".join([*lines, "`make data` says where to get what is missing."])
