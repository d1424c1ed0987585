"""Figures 1 to 11 and their tables, against what they must show."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from effnet import thesis
from effnet.model import SCALES, build_model
from effnet.plots import architecture, scaling, smoothing
from effnet.plots import scaling_tables as tables
from effnet.plots.blocks import block_slabs, residual_blocks
from effnet.plots.drawn_table import drawn_table


def texts(figure: Figure) -> list[str]:
    """Every text of a figure that is drawn, its subfigures included."""
    return [t.get_text() for t in figure.findobj(matplotlib.text.Text) if t.get_text()]


@pytest.fixture(scope="module")
def b0():
    with torch.device("meta"):
        return build_model("b0")


@pytest.fixture(scope="module")
def points() -> pd.DataFrame:
    return scaling.scaling_points(thesis.scaling_paper())


def test_chain_shows_the_sizes_of_the_published_figure(b0):
    shown = [text for text in texts(architecture.chain(b0, 224)) if "x" in text]
    sizes = [text for text in shown if text[0].isdigit()]
    expected = "224x224x3 112x112x32 112x112x16 56x56x24 56x56x24 28x28x40 28x28x40"
    # The published figure writes 28x28x80; the paper's own table has 14x14 (claim X15).
    expected += " 14x14x80 14x14x80 14x14x80" + " 14x14x112" * 3 + " 7x7x192" * 4 + " 7x7x320"
    assert sizes == [*expected.split(), "1x1x1280"]
    assert sum(text.startswith("MBConv") for text in shown) == 16


def test_longer_networks_wrap(b0):
    with torch.device("meta"):
        b3 = build_model("b3")
    assert architecture.chain(b3, 300).get_figheight() > architecture.chain(b0, 224).get_figheight()


def test_slabs_are_those_of_the_blocks(b0):
    import torchvision

    with torch.device("meta"):
        resnet = torchvision.models.resnet50()
    residual = block_slabs(resnet, "layer1.1", 224, "ReLU", last="+, ReLU")
    inverted = block_slabs(b0, "_blocks.2", 224, "SiLU")
    assert [slab.channels for slab in residual] == [256, 64, 64, 256]
    assert [slab.channels for slab in inverted] == [24, 144, 144, 24]
    assert {slab.side for slab in (*residual, *inverted)} == {56}
    assert "depthwise" in inverted[1].operation and "linear" in inverted[2].operation
    shown = texts(residual_blocks(residual, inverted, ("one", "other")))
    assert {"256", "64", "144", "24"} <= set(shown)


def test_stacks_are_to_scale():
    models = architecture.five_scalings()
    figure = architecture.scaling_stacks(models)
    areas = []
    for ax, (model, size) in zip(figure.axes, models.values(), strict=True):
        bars = [p for p in ax.patches if isinstance(p, Rectangle)]
        assert len(bars) == 1 + len(model._blocks)  # the stem, and every block
        assert bars[0].get_height() == size // 2 + size % 2
        areas.append(bars[-1].get_width())
    assert areas == [320, 640, 320, 320, 384]


def test_points_have_the_models_of_their_coefficients(points):
    compound = points[points["method"] == "compound"]
    expected = [tuple(SCALES[f"b{i}"][:3]) for i in range(5)]
    columns = ["width_coefficient", "depth_coefficient", "image_size"]
    assert [tuple(row) for row in compound[columns].to_numpy()] == expected
    # Figure 6 shows figure 5's networks again: the same network, the same count.
    five, six = (points[points["figure"] == f].query("method != 'compound'") for f in (5, 6))
    for method in ("width", "depth", "resolution"):
        a, b = (p[p["method"] == method]["measured_flops_billions"].tolist() for p in (five, six))
        assert b == a[: len(b)]
        assert a == sorted(a) and len(set(a)) == len(a)
    assert points["measured_flops_billions"].iloc[0] == pytest.approx(0.3858, abs=1e-4)


def test_published_points_stay_published_and_rings_are_ours(points):
    figure = scaling.single_dimensions(points)
    for ax, method in zip(figure.axes, ("width", "depth", "resolution"), strict=True):
        rows = points[(points["figure"] == 5) & (points["method"] == method)]
        line, rings = ax.lines
        np.testing.assert_array_equal(line.get_xydata(), rows[["flops_billions", "top1"]])
        ours = rows[["measured_flops_billions", "top1"]]
        np.testing.assert_array_equal(rings.get_xydata(), ours)
        assert any(f"={rows['coefficient'].iloc[-1]:g}" in t.get_text() for t in ax.texts)
    labels = texts(scaling.scaling_methods(points))
    assert "compound scaling (B0 to B4)" in labels and "published" in labels


def test_parameters_figure_marks_our_counts():
    figure = scaling.accuracy_against_parameters(thesis.params_vs_accuracy())
    rings = figure.axes[0].lines[-1].get_xdata()
    np.testing.assert_allclose(rings[[0, 7]], [5.288548, 66.347960])
    assert {"B0", "B7", "ResNet-50", "SENet"} <= set(texts(figure))


def test_b0_table_equals_the_published_one_and_would_show_a_difference():
    published = thesis.b0_table()
    assert tables.b0_comparison(published)["same"].all()
    published.loc[published["stage"] == 5, "channels"] = 88
    assert tables.b0_comparison(published).set_index("stage")["same"].eq(False).sum() == 1


def test_coefficient_table_measures():
    table = tables.coefficient_table(thesis.scaling_coefficients(), thesis.efficientnet_paper())
    assert table["coefficients as in the thesis"].all()
    # Parameters of the reference implementations, B0 to B7.
    reference = [5288548, 7794184, 9109994, 12233232, 19341616, 30389784, 43040704, 66347960]
    assert table["parameters, here"].tolist() == reference
    assert table["parameters (M), difference (%)"].abs().max() < 2
    assert table["FLOPs (B), difference (%)"].between(-2, 5).all()


def test_parameters_are_what_the_thesis_calls_flops():
    table = tables.parameter_table(thesis.claims())
    assert table["parameters, here"].tolist() == table['thesis, called "FLOPS"'].tolist()
    assert (table["multiply-adds at 224 px, here"] > 80 * table["parameters, here"]).all()


def test_model_and_performance_tables():
    models = tables.scaling_models_table(thesis.scaling_models())
    assert models["FLOPs (B), here"].iloc[-1] == pytest.approx(1.8, abs=0.01)
    assert models["image size"].tolist() == [224, 224, 224, 448, 291]
    table = tables.performance_table(thesis.efficientnet_paper()).set_index("model")
    assert table.loc["GPipe", "params_ratio"] == 8.4  # printed in the paper
    assert table.loc["ResNet-50", "params_ratio"] == 4.9
    assert np.isnan(table.loc["ResNet-50", "params_millions_here"])
    assert table.loc["EfficientNet-B4", "flops_billions_here"] == pytest.approx(4.394)


def test_transfer_table_uses_each_data_sets_classes():
    table = tables.transfer_table(thesis.transfer_paper())
    cars = table[(table["dataset"] == "Stanford Cars") & (table["efficientnet_model"].notna())]
    assert cars["params_millions_here"].tolist() == [11.0, 64.29]
    means = table[table["dataset"] == "Geo-Mean"]["ratio_here"].tolist()
    ratios = table[(table["comparison"] == "best_reported") & table["params_ratio"].notna()]
    ours = ratios[ratios["dataset"] != "Geo-Mean"]["ratio_here"]
    assert means[1] == pytest.approx(np.exp(np.log(ours).mean()), abs=0.06)


def test_drawn_table_shows_every_cell():
    table = pd.DataFrame(
        {"model": ["a", "b"], "FLOPs, here": [1.25, np.nan], "same": [True, False]}
    )
    shown = texts(drawn_table(table, "Title"))
    assert {"a", "b", "1.25", "yes", "no", "Title"} <= set(shown)
    assert "nan" not in shown


def test_makers_leave_no_global_state(b0):
    before = dict(matplotlib.rcParams)
    architecture.chain(b0, 224)
    smoothing.label_smoothing()
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before
