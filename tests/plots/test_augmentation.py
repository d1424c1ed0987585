"""Figures 17 and 18: the loss and the transforms, against torchvision's."""

import matplotlib
import numpy as np
import pytest
import torch
import torchvision.transforms.functional as F
from figure_checks import assert_legible
from matplotlib.figure import Figure
from PIL import Image

from effnet import augment
from effnet.augment import NORMALIZATIONS
from effnet.plots import augmentation, smoothing


def texts(figure: Figure) -> list[str]:
    """Every text of a figure that is drawn, its subfigures included."""
    return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_text()]


def test_smoothing_targets_and_identity():
    right, other = smoothing.implied_targets(0.1, 196)
    assert right == pytest.approx(1 - 0.1 + 0.1 / 196, abs=1e-6)
    assert other == pytest.approx(0.1 / 196, abs=1e-6)
    assert smoothing.identity_table()["largest relative difference"].max() < 1e-6
    figure = smoothing.label_smoothing()
    figure.canvas.draw()  # the formula parses
    shown = " ".join(texts(figure))
    assert r"\varepsilon" in shown and "20.4" in shown and "0.00051" in shown
    assert not any(ax.containers for ax in figure.axes), "a bar has no length on a log axis"
    assert_legible(figure)


@pytest.fixture
def batch() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (4, 3, 48, 48), dtype=torch.uint8, generator=generator)


def test_panels_are_torchvisions(batch):
    drawn = augment.draw(1, 48, 48, torch.Generator().manual_seed(3))
    normalise = augment.Augment(*NORMALIZATIONS["thesis", 3])
    figure = augmentation.transform_panels(batch[0], drawn, normalise)
    first, second, third, fourth = (np.asarray(ax.images[0].get_array()) for ax in figure.axes)
    image = Image.fromarray(batch[0].permute(1, 2, 0).numpy())
    flipped = F.hflip(image)
    warped = F.affine(
        flipped,
        drawn.angle.item(),
        [drawn.translate_x.item(), drawn.translate_y.item()],
        drawn.scale.item(),
        [drawn.shear.item(), 0.0],
    )
    normal = F.normalize(F.to_tensor(warped), *NORMALIZATIONS["thesis", 3]).clamp(0, 1)
    np.testing.assert_array_equal(first, np.asarray(image))
    np.testing.assert_array_equal(second, np.asarray(flipped))
    np.testing.assert_array_equal(third, np.asarray(warped))
    np.testing.assert_allclose(fourth, normal.permute(1, 2, 0), atol=1e-5)
    assert any("ColorJitter() changes 0 values" in text for text in texts(figure))


def test_jitter_without_arguments_changes_nothing(batch):
    state = torch.get_rng_state()
    plain, strong = augmentation.jitter_table(batch).to_dict("records")
    assert plain["largest change (levels)"] == plain["values changed (%)"] == 0
    assert strong["mean change (levels)"] > 5
    assert torch.equal(state, torch.get_rng_state())


def test_agreement_counts_differences(batch, monkeypatch):
    drawn = augment.draw(len(batch), 48, 48, torch.Generator().manual_seed(0))
    row = augmentation.agreement_table(batch, drawn).iloc[0]
    assert row["pixels that differ"] == 0 and row["pixels"] == 4 * 48 * 48
    warp = augmentation.warp
    monkeypatch.setattr(augmentation, "warp", lambda *a: warp(*a).roll(1, dims=3))
    assert augmentation.agreement_table(batch, drawn).iloc[0]["pixels that differ"] > 1000


def test_drawn_parameters_keep_the_limits():
    figure = augmentation.drawn_parameters(224, count=4000)
    rotation = figure.axes[1]
    edges = [p.get_x() for p in rotation.patches]
    assert min(edges) >= -25 and max(p.get_x() + p.get_width() for p in rotation.patches) <= 25
    assert [line.get_xdata()[0] for line in rotation.lines] == [-25, 25]
    table = augmentation.affine_table(100).set_index("effect")
    assert table.loc["the centre moves by (pixels)", "largest"] <= np.hypot(10, 10) + 1e-6
    assert table["mean"].gt(0).all()
