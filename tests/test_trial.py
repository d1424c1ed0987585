"""A trial refuses what it cannot be, and its id stands for what it will produce."""

import dataclasses

import pytest

from effnet.errors import EffnetError
from effnet.recipe import DIFFERENCES, recipe_table
from effnet.trial import Trial


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
        ({"in_channels": 2}, ["in_channels", "2", "3", "1"]),
        ({"weights": "nowhere.pth"}, ["weights", "nowhere.pth", "imagenet", "no file"]),
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
