"""Figure 8 and what a checkpoint becomes: makers that need weights."""

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from matplotlib.text import Text

from effnet import thesis
from effnet.demo.folder import make_demo
from effnet.model import build_model
from effnet.plots import cam
from effnet.plots.cam import grad_cam, learned, load_trained, look, scaled_networks
from effnet.plots.checkpoint import (
    logits_under,
    padding_effect,
    padding_table,
    trainable_table,
)
from effnet.runs import load_runs, predictions
from effnet.train import run
from effnet.trial import Trial
from effnet.weights.load import save_weights


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = build_model("b0", num_classes=7).eval()
    for module in model.modules():  # statistics and scales unlike the initial ones
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, std=0.3)
    return model


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 3, 96, 96, generator=torch.Generator().manual_seed(1))


def test_head_map_is_the_class_activation_map(model, images):
    """Zhou et al.: the features weighed by the classifier's row of the class."""
    with torch.no_grad():
        features, expected_logits = model.extract_features(images), model(images)
        order = expected_logits.argsort(1, descending=True)
    for chosen in (order[:, 0], order[:, 1]):
        with torch.no_grad():
            evidence = torch.einsum("bchw,bc->bhw", features, model._fc.weight[chosen])
            expected = F.relu(evidence) / evidence.amax((1, 2), keepdim=True)
        assert (evidence.amax((1, 2)) > 0).all()
        heat, logits = grad_cam(model, images, chosen, rows=3)
        torch.testing.assert_close(logits, expected_logits)
        torch.testing.assert_close(heat, expected, rtol=1e-3, atol=1e-4)
    first = grad_cam(model, images, order[:, 0], rows=3)[0]
    torch.testing.assert_close(grad_cam(model, images, rows=3)[0], first)


def test_small_images_are_explained_by_an_earlier_layer(model, images):
    heat, _ = grad_cam(model, images[..., :64, :64])
    assert heat.shape == (3, 8, 8)
    assert 0 <= heat.min() and heat.max() <= 1
    frozen = build_model("b0", num_classes=7).requires_grad_(False)
    assert grad_cam(frozen, images)[0].isfinite().all()
    assert not any(block._forward_hooks for block in model._blocks)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two networks of different scale, trained for an epoch on the smallest demo."""
    folder = tmp_path_factory.mktemp("scaled")
    root = make_demo(folder / "data", size="smoke")
    values = {"recipe": "thesis", "data_dir": str(root), "image_size": 32, "epochs": 1}
    values |= {"n_classes": 3, "batch_size": 16, "depth_coefficient": 0.35}
    for name, change in {"baseline": {}, "wider": {"width_coefficient": 1.4}}.items():
        run(Trial.make(values | change), folder / "runs", name, "scaling")
    return load_runs(folder)


def test_maps_of_trained_networks(trained, monkeypatch):
    monkeypatch.setattr(cam, "learned", lambda accuracy, classes: True)
    figure = scaled_networks(trained, thesis.scaling_models())
    pictures = [ax for ax in figure.axes if ax.images]
    assert len(pictures) == 3 * 3  # three images; the picture and two networks each
    titles = [[text.get_text() for text in ax.texts][::-1] for ax in pictures[:3]]
    assert [title[0] for title in titles] == ["image", "baseline", "wider"]
    assert titles[2][1:4] == ["32 px", "d=0.35 w=1.4", "–"]  # the thesis has none of both
    shown = [text.get_text() for text in figure.findobj(Text)]
    assert sum(text.startswith("Demo") and "(" not in text for text in shown) == 3


def test_a_network_that_learned_nothing_has_no_map(trained, monkeypatch):
    trained = trained.assign(max_val_acc=[0.9, 0.2])
    monkeypatch.setattr(cam, "learned", lambda accuracy, classes: accuracy > 0.5)
    figure = scaled_networks(trained, thesis.scaling_models())
    assert len([ax for ax in figure.axes if ax.images]) == 3 * 2
    shown = [text.get_text() for text in figure.findobj(Text)]
    assert sum(text.startswith("no map") for text in shown) == 3
    figure = scaled_networks(trained.assign(max_val_acc=0.2), thesis.scaling_models())
    assert sum(t.get_text().startswith("no map") for t in figure.findobj(Text)) == 2


def test_learned_is_more_than_naming_the_commonest_class():
    classes = pd.Series(np.repeat([0, 0, 1], 100))  # two thirds are right by always saying 0
    assert not learned(0.67, classes) and not learned(0.72, classes)
    assert learned(0.73, classes)  # two standard errors of 2 / 3 among 300 are 5.4 points


def test_the_thesiss_coefficients_stand_below_ours():
    published = thesis.scaling_models()
    run = pd.Series({"name": "scaling x", "image_size": 80, "depth_coefficient": np.nan,
                     "width_coefficient": np.nan, "max_val_acc": 0.5})  # fmt: skip
    assert cam._title(run, 64, published) == "x\n80 px\nr=1.25\nr=2\n50%"
    run["depth_coefficient"], run["width_coefficient"] = 1.2, 1.1
    assert cam._title(run, 64, published).split("\n")[2:4] == [
        "d=1.2 w=1.1 r=1.25",
        "d=1.4 w=1.2 r=1.3",
    ]


def test_best_weights_are_loaded_and_see_the_same_pixels(trained):
    """The network of the figure says what the run's predictions file says (one epoch: best)."""
    row = trained.iloc[0]
    table = predictions(row)
    seen = look(row, row["data_dir"], table["path"])
    np.testing.assert_array_equal(seen.predicted, table["predicted_class_id"])
    np.testing.assert_allclose(seen.probability, table["probability"], rtol=1e-3, atol=1e-4)
    assert not load_trained(row).training


def test_without_scaled_networks_the_figure_says_so(trained):
    shown = [
        t.get_text()
        for t in scaled_networks(trained.iloc[:0], thesis.scaling_models()).findobj(Text)
    ]
    assert any("No scaled networks" in text for text in shown)


def test_paddings_agree_only_where_every_side_is_odd(model, images, tmp_path):
    """33 -> 17 -> 9 -> 5 -> 3: there both paddings put the same zeros."""
    path = tmp_path / "weights.pth"
    save_weights(model, path)
    trial = Trial(recipe="thesis", weights=str(path))
    odd = logits_under(path, trial, images[..., :33, :33])
    even = logits_under(path, trial, images[..., :32, :32])
    assert even["same"].shape == (3, 7)
    torch.testing.assert_close(odd["same"], odd["symmetric"], rtol=0, atol=0)
    table = padding_table(even).set_index("measure")["value"]
    gap = (even["same"] - even["symmetric"]).abs()
    assert gap.max() > 0
    assert table["images"] == "3"
    largest = float(table["largest difference of a logit"])
    assert largest == pytest.approx(gap.max().item(), rel=1e-3)
    agree = (even["same"].argmax(1) == even["symmetric"].argmax(1)).float().mean().item()
    same = float(table["images with the same predicted class (%)"])
    assert same == pytest.approx(100 * agree, abs=0.1)
    # Of the drawn row each padding has one zero: behind pixel 7, or before pixel 0.
    zeros = [p for p in padding_effect(even).axes[0].patches if p.get_hatch()]
    assert [p.get_x() for p in zeros] == [8, -1]


def test_freezing_leaves_the_classifier(model, tmp_path):
    path = tmp_path / "weights.pth"
    save_weights(model, path)
    trial = Trial(recipe="thesis", weights=str(path))
    table = trainable_table(trial, 196, path)
    assert table["parameters"].tolist() == [4_258_624, 4_258_624]
    assert table["trainable"].tolist() == [4_258_624, 1280 * 196 + 196]


def test_a_profile_without_a_checkpoint_says_so(images):
    for trial in (Trial(), Trial(model_name="timm:ghostnet_100")):
        weights = None if trial.model_name == "b0" else "not read"
        logits = logits_under(weights, trial, images)
        assert logits == {} and padding_table(logits).empty
    shown = [text.get_text() for text in padding_effect(logits).findobj(Text)]
    assert any("has no checkpoint" in text for text in shown)
    assert trainable_table(Trial(), 196, None)["trainable"].tolist() == [4_258_624]
