"""A trial refuses what it cannot be, and its id stands for what it will produce."""

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from effnet.datasets import cache, layouts
from effnet.errors import EffnetError
from effnet.paths import ROOT
from effnet.recipe import DIFFERENCES, recipe_table
from effnet.train import data_module, make_model
from effnet.trial import EFFICIENTNET, Trial, resolve


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"droput_rate": 0.1}, ["'droput_rate'", "dropout_rate"]),
        ({"dropout_rate": 1.5}, ["dropout_rate", "1.5", "0.95"]),
        ({"dropout_rate": float("nan")}, ["dropout_rate", "nan"]),
        ({"dropout_rate": "much"}, ["dropout_rate", "'much'", "a number"]),
        ({"epochs": 2.5}, ["epochs", "2.5", "whole number"]),
        ({"epochs": True}, ["epochs", "True", "whole number"]),
        ({"epochs": 0}, ["epochs", "0", "1"]),
        ({"augment": "maybe"}, ["augment", "True or False"]),
        ({"optimizer": "sgd"}, ["optimizer", "'sgd'", "'adamw'", "'adam'"]),
        ({"model_name": "timm"}, ["model_name", "'timm'", "timm:NAME"]),
        ({"model_name": "b99"}, ["model_name", "'b99'", "b0", "timm:"]),
        ({"in_channels": 2}, ["in_channels is 2: allowed are 3 (RGB) and 1 (grayscale)."]),
        ({"in_channels": 4}, ["in_channels is 4: allowed are 3 (RGB) and 1 (grayscale)."]),
        ({"epochs": float("inf")}, ["epochs is inf (float)", "whole number"]),
        ({"epochs": "1e400"}, ["epochs is inf (float)", "whole number"]),
        ({"epochs": 10**30}, [f"epochs is {10**30}: allowed is from 1 to 10000"]),
        ({"epochs": 10**5000}, ["epochs is a number of thousands of digits", "10000"]),
        ({"initial_lr": 10**400}, ["initial_lr is inf", "10.0"]),
        ({"initial_lr": -(10**400)}, ["initial_lr is -inf", "1e-08"]),
        ({"dropout_rate": np.True_}, ["dropout_rate", "a number"]),
        ({"normalization": "none"}, ["normalization is 'none'", "'checkpoint', or None"]),
        ({"optimizer": ["adam"]}, ["optimizer is ['adam']", "'adamw'"]),
        ({"data_dir": "x" * 500, "epochs": "y" * 500}, ["yyyyy..."]),
        ({"weights": "nowhere.pth"}, ["weights", "nowhere.pth", "imagenet", "no file"]),
        ({"weights": "x" * 300}, ["weights", "no file"]),
        ({"weights": ""}, ["weights is ''", "no file"]),
        ({1: 2, "a": 3}, ["unknown hyperparameter 1, 'a'"]),
        ({"model_name": "torchvision:resnet5"}, ["model_name", "no classifier", "resnet50"]),
        (
            {"model_name": "torchvision:vit_b_16", "image_size": 60},
            ["model_name", "cannot be built", "image_size=60"],
        ),
        (
            {"model_name": "torchvision:resnet50", "dropout_rate": 0.0},
            ["dropout_rate is 0.0", "has no dropout", "None"],
        ),
        (
            {"model_name": "torchvision:convnext_tiny", "dropout_rate": 0.2},  # takes any option
            ["dropout_rate is 0.2", "has no dropout", "None"],
        ),
        (
            {"model_name": "torchvision:resnet50", "drop_connect_rate": 0.2},
            ["drop_connect_rate is 0.2", "keeps its own", "None"],
        ),
        (
            {"model_name": "torchvision:resnet50", "weights": "imagenet"},
            ["weights is 'imagenet'", "b0", "notebook 04"],
        ),
        ({"freeze_pretrained_weights": True}, ["freeze_pretrained_weights", "weights"]),
        (
            {"recipe": "thesis", "weights": "imagenet", "in_channels": 1},
            ["in_channels", "gray_stem='sum'"],
        ),
    ],
)
def test_bad_values_are_refused_with_what_is_allowed(values, words):
    with pytest.raises(EffnetError) as error:
        Trial.make(values)
    for word in words:
        assert word in str(error.value)
    assert "\n" not in str(error.value)


def test_text_that_tools_hand_over_is_read_as_meant():
    trial = Trial.make({"augment": "false", "initial_lr": "1e-3", "epochs": 3.0})
    assert trial.augment is False
    assert trial.initial_lr == 0.001
    assert trial.epochs == 3 and isinstance(trial.epochs, int)
    open_ = Trial.make({"weights": "None", "dropout_rate": "none", "n_classes": "NULL"})
    assert (open_.weights, open_.dropout_rate, open_.n_classes) == (None, 0.2, None)
    assert Trial(crop="none").crop == "none" and Trial(augment=np.False_).augment is False
    assert Trial(epochs=np.int64(3)).epochs == 3


def test_recipes_fill_only_what_was_left_open():
    thesis, corrected = Trial(recipe="thesis"), Trial()
    for difference in DIFFERENCES:
        if difference.field != "normalization":
            assert getattr(thesis, difference.field) == difference.thesis
            assert getattr(corrected, difference.field) == difference.corrected
    assert Trial(recipe="thesis", padding="same").padding == "same"
    assert thesis.normalization == "thesis"
    assert corrected.normalization == "imagenet"
    assert Trial(weights="advprop").normalization == "advprop"
    assert list(recipe_table().columns) == ["field", "thesis", "corrected", "why"]


def test_the_model_sets_resolution_and_dropout():
    assert (Trial().image_size, Trial().dropout_rate) == (224, 0.2)
    b3 = Trial(model_name="b3")
    assert (b3.image_size, b3.dropout_rate) == (300, 0.3)
    assert Trial(dropout_rate=0.0).dropout_rate == 0.0


@pytest.mark.parametrize("recipe", ["thesis", "corrected"])
def test_another_librarys_model_has_none_of_efficientnets_own(recipe):
    base = dict(Trial(recipe=recipe, dropout_rate=0.3).values(), image_size=64)
    assert (base["drop_connect_rate"], base["batch_norm_momentum"]) == (0.2, 0.01)
    for name, dropout in {
        "torchvision:resnet50": None,
        "torchvision:densenet121": None,
        "torchvision:shufflenet_v2_x1_0": None,
        "torchvision:regnet_y_400mf": None,
        "torchvision:mobilenet_v3_small": 0.3,
    }.items():
        trial = Trial.make({"model_name": name}, base=base)
        assert trial.dropout_rate == dropout
        assert not [field for field in EFFICIENTNET if getattr(trial, field) is not None]
        assert trial.recipe == recipe and trial.validation == base["validation"]
        assert trial.replace(epochs=3).epochs == 3
    gray = Trial().replace(model_name="torchvision:resnet18", in_channels=1, image_size=32)
    assert make_model(gray, 4, None)(torch.zeros(2, 1, 32, 32)).shape == (2, 4)


def test_what_is_no_checkpoint_is_refused_by_the_parameters_name(tmp_path):
    path = tmp_path / "weights.pth"
    whole = {"other": torch.zeros(3, 3)}
    torch.save(whole, path)
    for content in (b"hello", b"", path.read_bytes()[:-100], path.read_bytes()):
        path.write_bytes(content)
        with pytest.raises(EffnetError, match=rf"^weights is '{path}': "):
            make_model(Trial(weights=str(path)), 4, path)


def cifar10(root):
    """Its files, with eight images of two classes each; returns the first one."""
    folder = root / "torchvision" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 3072), dtype=np.uint8)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        batch = {"data": pixels, "labels": [0, 1] * 4}
        (folder / name).write_bytes(pickle.dumps(batch))
    return pixels[0].reshape(3, 32, 32).transpose(1, 2, 0)


def test_a_data_set_of_torchvision_by_name(tmp_path, monkeypatch):
    from torchvision.datasets import CIFAR10

    for module in (layouts, cache):
        monkeypatch.setattr(module, "DATA", tmp_path)
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(CIFAR10, "_load_meta", lambda self: setattr(self, "classes", ["a", "b"]))
    first = cifar10(tmp_path)
    data = data_module(Trial(data_dir="torchvision:CIFAR10", image_size=32))
    data.setup()
    assert data.num_classes == 2 and data.annotations["split"].value_counts()["train"] == 40
    assert np.array_equal(Image.open(data.root / data.annotations["path"][0]), first)
    named = "torchvision:CIFAR10"
    assert str(Trial(data_dir=named).path()) == named
    assert str(resolve(f"{named}@data/x")) == f"{named}@{ROOT}/data/x"
    assert resolve("data/x") == ROOT / "data" / "x" and resolve("/a") == Path("/a")


def test_groups_are_the_thesis_s():
    assert Trial().group == "scratch_rgb"
    assert Trial(in_channels=1).group == "scratch_gray"
    assert Trial(weights="demo").group == "pretrained"
    assert Trial(weights="demo", freeze_pretrained_weights=True).group == "pretrained_frozen"


def test_identity_follows_content_not_places():
    trial = Trial()
    same = trial.identity("data", None, "code")
    assert trial.replace(data_dir="elsewhere").identity("data", None, "code") == same
    assert trial.replace(dropout_rate=0.3).identity("data", None, "code") != same
    assert trial.identity("other data", None, "code") != same
    assert trial.identity("data", "weights", "code") != same
    assert trial.identity("data", None, "other code") != same


def test_every_field_has_a_help_line_and_is_frozen():
    for field in dataclasses.fields(Trial):
        assert field.metadata["help"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Trial().epochs = 3
