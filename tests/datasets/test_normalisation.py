"""Channel statistics against NumPy on whole arrays, and the thesis's constants."""

import os

import numpy as np
import pytest
from PIL import Image

from effnet import thesis
from effnet.augment import NORMALIZATIONS
from effnet.datasets.normalisation import (
    channel_statistics,
    image_sums,
    normalisation_table,
    published_normalisation,
)
from effnet.errors import EffnetError

SIZES = [(7, 5), (40, 30), (13, 64), (1, 1)]
CHANNELS = ("red", "green", "blue")


@pytest.fixture
def folder(tmp_path):
    """Lossless images of several sizes and brightnesses; returns (folder, names, arrays)."""
    random = np.random.default_rng(0)
    arrays, names = [], []
    for i, (width, height) in enumerate(SIZES):
        low = 40 * i
        arrays.append(random.integers(low, low + 90, (height, width, 3), dtype=np.uint8))
        names.append(f"{i}.png")
        Image.fromarray(arrays[-1]).save(tmp_path / names[-1])
    return tmp_path, names, arrays


def reference(planes: list[np.ndarray]) -> list[float]:
    """mean_pooled, std_pooled, mean_per_image, std_per_image of 8-bit planes."""
    planes = [plane.astype(np.float64).ravel() / 255 for plane in planes]
    pooled = np.concatenate(planes)
    per_image = [(plane.mean(), plane.std()) for plane in planes]
    return [pooled.mean(), pooled.std(), *np.mean(per_image, axis=0)]


def test_both_ways_equal_numpy(folder):
    root, names, arrays = folder
    table = channel_statistics(image_sums(root, names))
    columns = ["mean_pooled", "std_pooled", "mean_per_image", "std_per_image"]
    for i, channel in enumerate(CHANNELS):
        expected = reference([a[..., i] for a in arrays])
        np.testing.assert_allclose(table.loc[channel, columns], expected, rtol=1e-12)
    np.testing.assert_allclose(table.loc["rgb", columns], reference(arrays), rtol=1e-12)
    luma = [np.asarray(Image.fromarray(a).convert("L")) for a in arrays]
    np.testing.assert_allclose(table.loc["gray", columns], reference(luma), rtol=1e-12)


def test_order_and_threads_do_not_matter(folder):
    root, names, _ = folder
    one, many = image_sums(root, names, threads=1), image_sums(root, names, threads=3)
    assert one.equals(many)
    assert one["path"].tolist() == names
    assert list(zip(one["width"], one["height"], strict=True)) == SIZES


def test_mean_of_deviations_is_too_small_by_the_spread_of_means(tmp_path):
    """Images of one size: pooled variance = mean variance + variance of the means."""
    random = np.random.default_rng(1)
    names = [f"{i}.png" for i in range(6)]
    for i, name in enumerate(names):
        pixels = random.integers(30 * i, 30 * i + 60, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / name)
    sums = image_sums(tmp_path, names)
    row = channel_statistics(sums).loc["red"]
    assert row["std_pooled"] > row["std_per_image"] + 0.1
    assert row["mean_pooled"] == pytest.approx(row["mean_per_image"], rel=1e-12)


def test_one_colour_has_no_deviation(tmp_path):
    Image.new("RGB", (50, 41), (77, 13, 200)).save(tmp_path / "a.png")
    row = channel_statistics(image_sums(tmp_path, ["a.png"])).loc["red"]
    assert row["mean_pooled"] == pytest.approx(77 / 255)
    assert row["std_pooled"] == pytest.approx(0, abs=1e-7)
    assert row["std_per_image"] == pytest.approx(0, abs=1e-7)


def test_published_constants_are_those_that_training_uses():
    published = published_normalisation(thesis.claims())
    rgb = published.loc[list(CHANNELS)]
    assert NORMALIZATIONS["thesis", 3] == (tuple(rgb["mean"]), tuple(rgb["std"]))
    gray = published.loc["rgb"]
    assert NORMALIZATIONS["thesis", 1] == ((gray["mean"],), (gray["std"],))


def test_table_shows_differences_and_leaves_gray_open(folder):
    root, names, _ = folder
    statistics = channel_statistics(image_sums(root, names))
    table = normalisation_table(statistics, published_normalisation(thesis.claims()))
    table = table.set_index("channel")
    assert table.loc["red", "mean_difference"] == pytest.approx(
        statistics.loc["red", "mean_per_image"] - 0.470
    )
    assert np.isnan(table.loc["gray", "thesis_mean"])


def test_unreadable_images_are_named(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(EffnetError, match="broken.jpg"):
        image_sums(tmp_path, ["broken.jpg"])
    with pytest.raises(EffnetError, match="No images"):
        image_sums(tmp_path, [])


@pytest.mark.skipif(not os.environ.get("STANFORD_CARS"), reason="needs real images")
def test_real_photographs_equal_numpy():
    from effnet.datasets.layouts import open_dataset

    data = open_dataset(os.environ["STANFORD_CARS"])
    train = data.annotations.query("split == 'train'")["path"].head(40).tolist()
    table = channel_statistics(image_sums(data.root, train))
    arrays = [np.asarray(Image.open(data.root / path).convert("RGB")) for path in train]
    for i, channel in enumerate(CHANNELS):
        expected = reference([a[..., i] for a in arrays])
        np.testing.assert_allclose(table.loc[channel], expected, rtol=1e-10)
