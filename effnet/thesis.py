"""The thesis's published numbers, read from `data/thesis/` (its README explains every column).

Nothing here was measured by this kit. Every function returns a DataFrame of its own, so callers
may change it; empty cells are NaN, except in `claims()`, whose columns are all text.
"""

from functools import cache

import pandas as pd

from effnet.errors import EffnetError
from effnet.files import digest
from effnet.paths import DATA, relative

FOLDER = DATA / "thesis"
TITLE = "EfficientNet network and its performance on Stanford cars dataset"
AUTHOR, YEAR = "Mateusz Kalinowski", 2020
REPOSITORY = "https://github.com/matkalinowski/EfficientNet-on-Stanford-Cars-Dataset"
IMAGES = f"{REPOSITORY}/blob/master/images/"
# Whose numbers a file holds, where they are not the thesis's own.
PAPER = "the EfficientNet paper, as the thesis shows it"
CARS = "the annotations of Stanford Cars"
SOURCES = {"annotations": CARS, "class_names": CARS, "sibling_runs": "pchaberski/cars"}
SOURCES |= dict.fromkeys(
    ["b0_table", "scaling_coefficients", "scaling_paper", "scaling_models", "params_vs_accuracy"]
    + ["efficientnet_paper", "transfer_paper"],
    PAPER,
)


def claims() -> pd.DataFrame:
    """Every checkable claim (C001 to C120), and what the kit found about the thesis (X01 to X35).

    All columns are text. `kind` is claim, contradiction, confounding or note. `value` holds one
    value or several separated by `;`, as published; `exact` what the run table says where that is
    more or other. `figure` and `notebook` say where the kit shows the claim: figure ids separated
    by `;`, and one notebook.
    """
    return _read("claims", text=("section", "value", "exact")).fillna("")


def sections() -> pd.DataFrame:
    """Chapters and sections in reading order: `section` number (text), `title` in our words."""
    return _read("sections", text=("section",))


def figures() -> pd.DataFrame:
    """The 34 figures in order: `figure` id (`fig01` to `fig34`), section, kind, title, what it
    `shows`, notebook, and `original`, the address of the thesis's image ("" where it has none).
    """
    table = _read("figures", text=("section",))
    table["original"] = (IMAGES + table["image"]).fillna("")
    return table


def heatmaps() -> pd.DataFrame:
    """Cells of the eight regularisation heatmaps (figures 21 to 24, 27, 28, 30, 31), as printed.

    Accuracies are fractions of 1 with two significant digits.
    """
    return _read("heatmaps")


def heatmaps_exact() -> pd.DataFrame:
    """The same cells to the last digit, from the runs' own accuracies, with the runs of each.

    Six more, without a `figure`, are heatmaps of `lr_patience` that the thesis left out.
    """
    return _read("heatmaps_exact")


def grid() -> pd.DataFrame:
    """The 65 runs of the heatmaps: hyperparameters and exact best accuracies, a row per run."""
    return _read("grid")


def histories() -> pd.DataFrame:
    """Epochs of single runs: SAN-469 whole, some of SAN-392 and SAN-473. Losses are smoothed."""
    return _read("histories")


def noise() -> pd.DataFrame:
    """How far like runs scatter: sample standard deviations with their degrees of `freedom`."""
    return _read("noise")


def sibling_runs() -> pd.DataFrame:
    """A colleague's 56 GhostNet runs from scratch on the same data (batch 64, 227 px)."""
    return _read("sibling_runs")


def published_runs() -> pd.DataFrame:
    """The 71 runs that the thesis or its run table names or shows, with what is known of each."""
    return _read("runs")


def prediction_matrix_runs() -> pd.DataFrame:
    """The 62 columns of figure 34, left to right, with the columns drawn identically."""
    return _read("prediction_matrix_runs")


def class_distribution() -> pd.DataFrame:
    """The 30 bars of figure 13: images per class from `left` to `right`, classes `n_classes`."""
    return _read("class_distribution")


def scaling_coefficients() -> pd.DataFrame:
    """Width, depth and resolution (pixels) of B0 to B7; `model` is the kit's name (b0, b1, ...)."""
    table = _read("scaling_coefficients")
    table.insert(0, "model", table["network_version"].str.rpartition(".")[2])
    return table


def scaling_models() -> pd.DataFrame:
    """Figure 7: coefficients, FLOPs (billions) and top-1 (percent) of five networks."""
    return _read("scaling_models")


def scaling_paper() -> pd.DataFrame:
    """The points of figures 5 and 6: FLOPs (billions) and top-1 (percent), pixel-read."""
    return _read("scaling_paper")


def params_vs_accuracy() -> pd.DataFrame:
    """The points of figure 9: parameters (millions) and top-1 (percent), pixel-read."""
    return _read("params_vs_accuracy")


def efficientnet_paper() -> pd.DataFrame:
    """Figure 10: accuracy (percent), parameters (millions), FLOPs (billions) of 24 networks."""
    return _read("efficientnet_paper")


def transfer_paper() -> pd.DataFrame:
    """Figure 11, both halves: transfer to eight data sets."""
    return _read("transfer_paper")


def b0_table() -> pd.DataFrame:
    """Figure 2: the nine stages of EfficientNet-B0."""
    return _read("b0_table")


def b0_drawing() -> pd.DataFrame:
    """Figure 1: `box` (1 to 17), `operator`, and `output`, the size written behind the box."""
    return _read("b0_drawing")


def printed(name: str) -> pd.DataFrame:
    """The table `name`.csv with every cell as the text that stands there.

    0.70 keeps its zero, 26 gets none; an empty cell is an empty text.
    """
    return _read(name, tuple(_read(name).columns)).fillna("")


def annotations() -> pd.DataFrame:
    """All 16,185 annotations of Stanford Cars, without images.

    Columns as `effnet.datasets.layouts.read_annotations` has them where they exist: `path` (the
    data set's own name of the image), `class_id` (0-based), `class_name`, `split` (train or test),
    `x1`, `y1`, `x2`, `y2` (pixels of the full image).
    """
    table = _read("annotations")
    names = class_names()
    return pd.DataFrame(
        {
            "path": [f"car_ims/{image:06d}.jpg" for image in table["image"]],
            "class_id": table["class_id"],
            "class_name": [names[class_id] for class_id in table["class_id"]],
            "split": table["test"].map({0: "train", 1: "test"}),
            **{corner: table[corner].astype(float) for corner in ("x1", "y1", "x2", "y2")},
        }
    )


def class_names() -> list[str]:
    """The 196 class names by 0-based id."""
    table = _read("class_names").sort_values("class_id")
    return list(table["class_name"])


def cite(name: str) -> str:
    """A file of `data/thesis` in a line: its path, whose numbers it holds, its hash.

    `name` is without folder and suffix, as `annotations`. Raises EffnetError where there is none.
    """
    path = FOLDER / f"{name}.csv"
    if not path.exists():
        known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.csv")))
        raise EffnetError(f"{relative(path)} does not exist; published numbers are in {known}.")
    source = SOURCES.get(name, "the thesis")
    return f"{relative(path)} ({source}; SHA-256 {digest(path)[:12]})"


def _read(name: str, text: tuple[str, ...] = ()) -> pd.DataFrame:
    return _cached(name, text).copy()


@cache
def _cached(name: str, text: tuple[str, ...]) -> pd.DataFrame:
    path = FOLDER / f"{name}.csv"
    try:
        return pd.read_csv(path, dtype=dict.fromkeys(text, str))
    except FileNotFoundError:
        raise EffnetError(
            f"{relative(path)} is missing: it holds published numbers of the thesis and comes "
            "with the checkout. Restore it (git checkout data/thesis)."
        ) from None
