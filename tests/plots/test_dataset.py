"""Figures 12 and 13 and the tables of the data set, against what they must show."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from figure_checks import assert_legible
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from effnet import thesis
from effnet.datasets.normalisation import CHANNELS
from effnet.errors import EffnetError
from effnet.plots import dataset, dataset_tables, gallery


def texts(figure: Figure) -> list[str]:
    """Every text of a figure that is drawn, its subfigures included."""
    return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_text()]


def test_published_annotations_give_the_thesis_figure():
    published = thesis.annotations()
    bars = thesis.class_distribution()
    figure = dataset.distribution(published, bars)
    heights = [p.get_height() for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    assert [int(h) for h in heights[:30]] == bars["n_classes"].tolist()
    named = [text for text in texts(figure) if "GMC Savana" in text]
    assert named == ["GMC Savana Van 2012 (class 118):\n136 images"]
    assert any("class ids count from 0" in text for text in texts(figure))
    assert_legible(figure)


def test_published_counts_are_the_thesis_ones():
    published = thesis.annotations()
    here = published[published["class_id"] < 3]
    table = dataset_tables.count_table(here, published, thesis.claims()).set_index("quantity")
    for quantity in ("images", "classes", "training images", "test images", "its images"):
        assert str(table.loc[quantity, "published"]) == table.loc[quantity, "thesis"]
    assert table.loc["largest class", "published"] == table.loc["largest class", "thesis"]
    assert table.loc["images of the second largest class", "published"] == 97
    assert table.loc["classes", "here"] == 3


def test_no_outlier_no_name():
    published = thesis.annotations()
    rest = published[published["class_id"] != 118]
    assert dataset_tables.outliers(dataset_tables.class_counts(rest)).empty
    assert not any("GMC" in text for text in texts(dataset.distribution(rest)))


def painted(folder, count: int) -> pd.DataFrame:
    """`count` classes of one test and two training images; the first training one is gray i."""
    rows = []
    for i in range(count):
        images = [("test", 250), ("train", i), ("train", 200)]
        for number, (split, level) in enumerate(images):
            path = f"{i}-{number}.png"
            Image.new("RGB", (50, 30), (level,) * 3).save(folder / path)
            rows.append((path, i, f"class {i}", split))
    return pd.DataFrame(rows, columns=["path", "class_id", "class_name", "split"])


@pytest.mark.parametrize("count", [6, 41])
def test_montage_has_a_training_image_of_each_class(tmp_path, count):
    annotations = painted(tmp_path, count).sample(frac=1, random_state=0).sort_values(
        "path", key=lambda p: p.str.split("-").str[1], kind="stable"
    )  # fmt: skip
    figure = gallery.montage(tmp_path, annotations, width=40)
    pictures = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    if count > 40:  # one mosaic, 7 tiles of 40 x 24 pixels a line
        pictures = [pictures[0][i // 7 * 24 + 20, i % 7 * 40 + 35] for i in range(count)]
    levels = [int(np.asarray(p).reshape(-1, 3)[-1, 0]) for p in pictures]
    assert levels == list(range(count))


def test_montage_names_an_unreadable_image(tmp_path):
    annotations = painted(tmp_path, 2)
    (tmp_path / "1-1.png").write_bytes(b"")
    with pytest.raises(EffnetError, match="1-1.png"):
        gallery.montage(tmp_path, annotations)


def test_boxes_count_their_last_pixels(tmp_path):
    boxes = pd.DataFrame(
        {"path": ["a", "b"], "x1": [1.0, 1], "y1": [1.0, 1], "x2": [50.0, 25], "y2": [30.0, 30]}
    )
    sizes = pd.DataFrame({"path": ["a", "b"], "width": 50, "height": 30})
    left, right = dataset.box_sizes(boxes, sizes.head(1)).axes
    assert left.collections[0].get_offsets().tolist() == [[50, 30]]  # of the images measured
    left, right = dataset.box_sizes(boxes, sizes).axes
    assert left.collections[0].get_offsets().tolist() == [[50, 30], [25, 30]]
    assert right.get_legend().get_texts()[0].get_text() == "median 75"
    empty = boxes.assign(x1=np.nan)
    assert "This data set has no boxes." in texts(dataset.box_sizes(empty))


def test_many_boxes_are_counted_in_cells():
    published = thesis.annotations()
    figure = dataset.box_sizes(published, source="made up")
    (cells,) = figure.axes[0].collections
    assert isinstance(cells, PolyCollection) and len(cells.get_paths()) < 1500
    assert cells.get_array().sum() == len(published)
    assert_legible(figure)


def test_few_classes_have_named_bars_and_many_a_histogram():
    published = thesis.annotations()
    few = published[published["class_id"] < 6]
    (ax,) = dataset.own_class_counts(few, "made up").axes
    assert ax.get_yticklabels()[0].get_text() == "0: AM General Hummer SUV 2000"
    assert sum(bar.get_width() for bar in ax.patches) == len(few)
    many = dataset.own_class_counts(published, "made up")
    bars = many.axes[0].patches
    assert sum(bar.get_height() for bar in bars) == 196 and len(bars) <= 31
    assert {bar.get_width() for bar in bars} == {3.0}, "each bar holds as many whole numbers"
    for figure in (many, dataset.own_class_counts(few, "made up")):
        assert_legible(figure)


def test_the_cross_is_the_thesiss():
    rng = np.random.default_rng(0)
    sums = pd.DataFrame({"path": [f"{i}" for i in range(900)], "pixels": 100})
    for channel in CHANNELS:
        levels = rng.integers(0, 256, (900, 100))
        sums[f"sum_{channel}"], sums[f"squares_{channel}"] = levels.sum(1), (levels**2).sum(1)
    table = dataset_tables.normalisation_table(sums, thesis.claims())
    for count in (900, 9):
        figure = dataset.image_statistics(sums.head(count), table, "made up")
        (cross,) = [line for line in figure.axes[0].lines if line.get_marker() == "X"]
        assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (0.470, 0.267)
        legend = figure.legends[0]
        marks = [handle.get_marker() for handle in legend.legend_handles]
        words = dict(zip(marks, (t.get_text() for t in legend.get_texts()), strict=True))
        assert words["X"].startswith("the thesis's") and words["s"].startswith("here")
        assert_legible(figure)
