"""One run's mistakes: counts by pair, and figures that can be read with few and many classes."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import SOURCE, assert_legible, texts
from PIL import Image

from effnet.plots.mistakes import confused_pairs, confusion_figure, wrong_images_figure


def answers(classes: int, images: int = 300, right: float = 0.6) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    true = rng.integers(0, classes, images)
    given = np.where(rng.random(images) < right, true, rng.integers(0, classes, images))
    table = pd.DataFrame({"path": [f"{i}.jpg" for i in range(images)], "class_id": true})
    table["predicted_class_id"], table["probability"] = given, rng.random(images)
    return table.assign(correct=true == given)


def names(classes: int) -> list[str]:
    return [f"{'Chevrolet Silverado 1500 Extended Cab'[: 8 + i % 30]} {i}" for i in range(classes)]


def test_pairs_are_counted():
    table = answers(5)
    pairs = confused_pairs(table, list("abcde"))
    assert pairs["images"].sum() == (~table["correct"]).sum()
    assert pairs["images"].is_monotonic_decreasing and (pairs["class"] != pairs["taken for"]).all()
    top = pairs.iloc[0]
    ids = ["abcde".index(top[column]) for column in ("class", "taken for")]
    both = (table["class_id"] == ids[0]) & (table["predicted_class_id"] == ids[1])
    assert both.sum() == top["images"]


@pytest.mark.parametrize("classes", [2, 14, 28, 196])
def test_the_confusion_is_legible(classes):
    table = answers(classes, 2000)
    figure = confusion_figure(table, names(classes), SOURCE)
    assert f"{table['correct'].mean():.1%} of 2,000" in texts(figure) and SOURCE in texts(figure)
    assert_legible(figure)


def test_the_surest_mistakes_are_shown(tmp_path):
    table = answers(4, 40)
    for path in table["path"]:
        Image.new("RGB", (50, 40), "grey").save(tmp_path / path)
    figure = wrong_images_figure(table, names(4), tmp_path, SOURCE)
    surest = table[~table["correct"]]["probability"].max()
    assert f"{surest:.0%} sure" in " ".join(texts(figure).split())
    assert f"{(~table['correct']).sum()} of 40" in texts(figure)
    assert_legible(figure)


def test_nothing_wrong_is_said(tmp_path):
    for classes in (4, 196):
        table = answers(classes, 20, right=1.0)
        assert "very validation image is right" in texts(
            wrong_images_figure(table, names(classes), tmp_path, SOURCE)
        )
        confusion_figure(table, names(classes), SOURCE)
