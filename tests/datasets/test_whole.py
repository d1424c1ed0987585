"""What counts as the whole of Stanford Cars: names, split, counts, labels, boxes; not two sums."""

import layout_makers as make
import numpy as np
import pytest

from effnet import thesis
from effnet.data import CarsDataModule
from effnet.datasets import whole
from effnet.datasets.whole import is_whole


@pytest.fixture(scope="module")
def published():
    return thesis.annotations()


def renamed(table):
    """As in torchvision's layout: the split's own numbers, so that only boxes tell the image."""
    table = table.sort_values("split", ascending=False, kind="stable", ignore_index=True)
    table["path"] = [f"cars_{row.split}/{i:05d}.jpg" for i, row in enumerate(table.itertuples())]
    return table


def test_the_published_list_is_whole(published):
    names = thesis.class_names()
    assert is_whole(published, names)
    assert is_whole(published.sample(frac=1, random_state=0).reset_index(drop=True), names)
    assert is_whole(published.assign(path=published["path"].radd("below/"), label=1), names)
    assert is_whole(renamed(published), names)
    without_boxes = renamed(published).assign(x1=np.nan, y1=np.nan, x2=np.nan, y2=np.nan)
    assert is_whole(without_boxes, names)


def other_split(table):
    return table.assign(split=table["split"].map({"train": "test", "test": "train"}))


def moved(table):
    """One image changes places with one of another split, within its class: equal counts."""
    one = table.index[(table["class_id"] == 7) & (table["split"] == "train")][0]
    two = table.index[(table["class_id"] == 7) & (table["split"] == "test")][0]
    table.loc[[one, two], "split"] = ["test", "train"]
    return table


def relabelled(table):
    """Two images of a split change their classes: equal counts."""
    rows = table[table["split"] == "train"].drop_duplicates("class_id").index[:2]
    table.loc[rows, "class_id"] = table.loc[rows[::-1], "class_id"].to_numpy()
    return table


@pytest.mark.parametrize("layout", [lambda table: table, renamed], ids=["car_ims", "cars_train"])
@pytest.mark.parametrize(
    "change",
    [
        other_split,
        moved,
        relabelled,
        lambda table: table.iloc[:-1],
        lambda table: table.assign(class_id=np.arange(len(table)) % 196),
        lambda table: table.assign(split="train"),
    ],
)
def test_as_many_images_are_not_enough(published, layout, change):
    table = change(layout(published.copy())).reset_index(drop=True)
    assert len(table) >= 16_184
    assert not is_whole(table, thesis.class_names())


def test_as_many_classes_are_not_enough(published):
    names = thesis.class_names()
    assert not is_whole(published, [f"class {i}" for i in range(196)])
    assert not is_whole(published, [names[1], names[0], *names[2:]])
    assert not is_whole(published, names[:195])
    scaled = renamed(published)
    scaled[["x1", "y1", "x2", "y2"]] *= 0.5
    assert not is_whole(scaled, names)


def test_a_data_module_can_be_asked(tmp_path, monkeypatch):
    monkeypatch.setattr(make, "IMAGES", [*make.IMAGES, (3, "test")])  # each class in both splits
    data = CarsDataModule(make.torchvision_layout(tmp_path / "data"), 8, cache_dir=tmp_path)
    data.setup()
    assert not is_whole(data.annotations, data.class_names)
    # The same question, where these twelve images are all that was published.
    known = data.annotations[[*whole.thesis.annotations().columns]]
    monkeypatch.setattr(whole.thesis, "annotations", lambda: known.copy())
    monkeypatch.setattr(whole.stanford, "official_names", lambda: list(data.class_names))
    assert is_whole(data.annotations, data.class_names)
    assert not is_whole(data.annotations.iloc[1:], data.class_names)
