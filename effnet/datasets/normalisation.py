"""Mean and standard deviation of the training images, both ways.

Pooling all pixels gives the statistics of the data set. The thesis averaged each image's own mean
and standard deviation instead (thesis section 5.3; the procedure is in its code): large images
count no more than small ones, and the deviation misses how much images differ from one another,
so it comes out smaller. Both are computed here from the images at their original sizes.

A histogram per image and channel is all that is needed: sums of 8-bit values are exact integers,
no array of pixels is ever built, and Pillow decodes outside Python's lock, so threads help.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from effnet.datasets.images import UnreadableImage, decode
from effnet.errors import EffnetError

CHANNELS = ("red", "green", "blue", "gray")
LEVELS = np.arange(256, dtype=np.int64)


def image_sums(data_dir: str | Path, paths: Sequence[str], threads: int = 4) -> pd.DataFrame:
    """Sums over the pixels of each image, at its original size.

    One row per path (relative to `data_dir`), in order: `path`, `width`, `height` (pixels),
    `pixels`, and for red, green, blue and gray (Pillow's luma) `sum_<channel>` and
    `squares_<channel>`, exact sums of the 8-bit values and of their squares.
    An image that cannot be read raises EffnetError with its name.
    """
    if not len(paths):
        raise EffnetError(f"No images to measure in {data_dir}: the list of paths is empty.")
    with ThreadPoolExecutor(max_workers=threads) as pool:
        rows = pool.map(lambda path: _sums(Path(data_dir), path), paths)
        return pd.DataFrame(list(rows))


def channel_statistics(sums: pd.DataFrame) -> pd.DataFrame:
    """Both kinds of mean and standard deviation from the rows of `image_sums`, in units of 1.

    Index `channel`: red, green, blue, `rgb` (the three channels taken together, which is what the
    thesis used for one channel) and `gray` (the converted gray image, which it did not use).
    Columns: `mean_pooled`, `std_pooled` over all pixels, `mean_per_image`, `std_per_image`
    averaged over images. Deviations are the population's (divided by n).
    """
    sums = _with_rgb(sums)
    rows = {channel: _both_ways(sums, channel) for channel in ("red", "green", "blue", "rgb")}
    rows["gray"] = _both_ways(sums, "gray")
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("channel")


def per_image(sums: pd.DataFrame, channel: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean and population deviation of one channel of every image, (N,) each, in units of 1."""
    means, variances = _moments(*_integers(sums, channel))
    return means.astype(np.float64), np.sqrt(variances.astype(np.float64))


def normalisation_table(statistics: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """The statistics beside the thesis's constants.

    `published`: index `channel` (red, green, blue, rgb), columns `mean` and `std`, from
    `published_normalisation`. Adds `thesis_mean`, `thesis_std` and the differences of our
    per-image values, computed as the thesis did, from them.
    """
    table = statistics.copy()
    table["thesis_mean"] = published["mean"].reindex(table.index)
    table["thesis_std"] = published["std"].reindex(table.index)
    table["mean_difference"] = table["mean_per_image"] - table["thesis_mean"]
    table["std_difference"] = table["std_per_image"] - table["thesis_std"]
    return table.reset_index()


def published_normalisation(claims: pd.DataFrame) -> pd.DataFrame:
    """The thesis's constants (claims C037 to C044): index `channel`, columns `mean`, `std`.

    Its single channel stands in row `rgb`: that is what it was computed from.
    """
    value = claims.set_index("id")["value"].astype(str)
    ids = {
        "red": ("C037", "C038"),
        "green": ("C039", "C040"),
        "blue": ("C041", "C042"),
        "rgb": ("C043", "C044"),
    }
    rows = {name: [float(value[mean]), float(value[std])] for name, (mean, std) in ids.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["mean", "std"])


def _sums(data_dir: Path, path: str) -> dict[str, str | int]:
    try:
        rgb = decode(data_dir / path)
    except UnreadableImage as error:
        raise EffnetError(
            f"{path} in {data_dir} cannot be measured: {error}. "
            "Replace it, or leave it out with on_bad_image='skip'."
        ) from error
    counts = np.array(rgb.histogram() + rgb.convert("L").histogram(), dtype=np.int64)
    row: dict[str, str | int] = {"path": path, "width": rgb.width, "height": rgb.height}
    row["pixels"] = rgb.width * rgb.height
    for channel, histogram in zip(CHANNELS, counts.reshape(4, 256), strict=True):
        row[f"sum_{channel}"] = int(histogram @ LEVELS)
        row[f"squares_{channel}"] = int(histogram @ LEVELS**2)
    return row


def _with_rgb(sums: pd.DataFrame) -> pd.DataFrame:
    """Treat the three channels as one, three times as long."""
    sums = sums.copy()
    for kind in ("sum", "squares"):
        sums[f"{kind}_rgb"] = sums[[f"{kind}_{c}" for c in ("red", "green", "blue")]].sum(axis=1)
    return sums


def _both_ways(sums: pd.DataFrame, channel: str) -> dict[str, float]:
    means, deviations = per_image(sums, channel)
    mean, variance = _moments(*(column.sum() for column in _integers(sums, channel)))
    return {
        "mean_pooled": float(mean),
        "std_pooled": float(np.sqrt(float(variance))),
        "mean_per_image": float(means.mean()),
        "std_per_image": float(deviations.mean()),
    }


def _integers(sums: pd.DataFrame, channel: str) -> list[np.ndarray]:
    """Pixels, sums and sums of squares as Python's integers, which do not overflow."""
    n = sums["pixels"] * (3 if channel == "rgb" else 1)
    return [v.to_numpy(object) for v in (n, sums[f"sum_{channel}"], sums[f"squares_{channel}"])]


def _moments(n: Any, total: Any, squares: Any) -> tuple[Any, Any]:
    """(mean, variance) of 8-bit values in units of 1; nothing is lost before the division."""
    return total / (255 * n), (n * squares - total * total) / (255 * n) ** 2
