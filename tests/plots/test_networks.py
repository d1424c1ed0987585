"""Figures 1 to 11 and their tables, against what they must show."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from figure_checks import assert_apart, assert_legible
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from effnet import thesis
from effnet.model import SCALES, build_model
from effnet.plots import architecture, printed_tables, scaling, smoothing, stacks
from effnet.plots import scaling_tables as tables
from effnet.plots.blocks import block_slabs, residual_blocks
from effnet.plots.drawn_table import drawn_table
from effnet.plots.style import BLACK, OURS


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


def test_where_the_drawing_differs_is_marked(b0):
    drawn = thesis.b0_drawing()
    shapes = architecture.block_shapes(b0, 224)
    found = architecture.differences(shapes, drawn)
    sizes, head = (
        [(i, True, "28x28x80") for i in (6, 7, 8)],
        [(i, False, "no such box") for i in (17, 18)],
    )
    assert found == sizes + head
    figure = architecture.chain(b0, 224, drawn)
    notes = [text for text in texts(figure) if text.startswith("the thesis's drawing\n")]
    assert [note.split()[-1] for note in notes] == ["28x28x80", "box"]
    assert_legible(figure)
    drawn.loc[2, "operator"] = "MBConv6, 5x5"
    assert architecture.differences(shapes, drawn)[0] == (2, False, "MBConv6, 5x5")


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
    assert [slab.kernel for slab in (*residual, *inverted)] == [1, 3, 1, 0] * 2
    assert [slab.depthwise for slab in (*residual, *inverted)] == [False] * 5 + [True] + [False] * 2
    assert [slab.activation for slab in inverted] == ["SiLU", "SiLU", "linear", ""]
    figure = residual_blocks(residual, inverted, ("one", "other"))
    shown = texts(figure)
    assert {"256", "64", "144", "24", "ReLU", "+, ReLU", "linear"} <= set(shown)
    assert shown.count("SiLU\n(thesis: ReLU6)") == 2
    assert_legible(figure)
    assert_apart(figure)


def test_the_schematic_grows_by_the_coefficients():
    figure = stacks.scaling_schematic()
    bars = [p for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    starts = [i for i, bar in enumerate(bars) if not bar.get_fill()]  # each stack's frame
    found = []
    for start, end in zip(starts, [*starts[1:], len(bars)], strict=True):
        stack = bars[start + 1 : end]
        found.append((stack[-1].get_width(), len(stack), stack[0].get_height()))
    base = np.array(found[0])
    expected = [(1, 1, 1), (2, 1, 1), (1, 2, 1), (1, 1, 2), (1.2, 1.5, 1.3)]  # 1.4 layers of 2: 3
    np.testing.assert_allclose(np.array(found) / base, expected)
    shown = texts(figure)
    assert {"wider\n$w$ = 2", "deeper, $d$ = 1.4", "higher\nresolution\n$r$ = 2"} <= set(shown)
    assert_legible(figure)
    assert_apart(figure)


def test_stacks_are_to_scale():
    figure = stacks.scaling_to_scale()
    areas = []
    for ax, coefficients in zip(figure.axes, stacks.SCALINGS.values(), strict=True):
        model, size = stacks.network(coefficients)
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
        ties = np.array([path.vertices for path in ax.collections[0].get_paths()])
        ends = rows[["measured_flops_billions", "flops_billions"]]
        np.testing.assert_array_equal(ties[:, :, 0], ends)
        assert ax.get_xlabel() == "FLOPs (billions)"
    labels = texts(scaling.scaling_methods(points))
    assert "compound scaling (B0 to B4)" in labels and "published" in labels


def test_parameters_figure_marks_our_counts():
    figure = scaling.accuracy_against_parameters(thesis.params_vs_accuracy())
    rings = figure.axes[0].lines[-1].get_xdata()
    np.testing.assert_allclose(rings[[0, 7]], [5.288548, 66.347960])
    assert {"B0", "B7", "ResNet-50", "SENet"} <= set(texts(figure))
    assert figure.axes[0].get_legend() is None
    assert_apart(figure)


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
    assert (table["FLOPs at 224 px, here"] > 80 * table["parameters, here"]).all()


def test_model_and_performance_tables():
    models = tables.scaling_models_table(thesis.scaling_models())
    assert models["FLOPs (B), here"].iloc[-1] == pytest.approx(1.8, abs=0.01)
    assert models["image size"].tolist() == [224, 224, 224, 448, 291]
    table = tables.performance_table(thesis.efficientnet_paper()).set_index("model")
    assert table.loc["GPipe", "ratio of parameters, published"] == 8.4
    assert table.loc["ResNet-50", "ratio of parameters, here"] == 4.9
    assert table.loc["ResNet-50", "ratio of FLOPs, here"] == 10.6
    assert np.isnan(table.loc["ResNet-50", "parameters (M), here"])
    assert table.loc["EfficientNet-B4", "FLOPs (B), here"] == pytest.approx(4.394)


def test_transfer_table_uses_each_data_sets_classes():
    published = thesis.transfer_paper()
    table = tables.transfer_table(published)
    cars = table[(table["data set"] == "Stanford Cars") & (table["EfficientNet"].notna())]
    assert cars["parameters (M), here"].tolist() == [11.0, 64.29]
    means = table[table["data set"] == "Geo-Mean"]["ratio, here"].tolist()
    ratios = table[(published["comparison"] == "best_reported") & table["ratio, published"].notna()]
    ours = ratios[ratios["data set"] != "Geo-Mean"]["ratio, here"]
    assert means[1] == pytest.approx(np.exp(np.log(ours).mean()), abs=0.06)


def test_drawn_table_shows_every_cell_and_what_is_ours():
    table = pd.DataFrame({"model": ["a", "b"], "FLOPs": ["1.25", np.nan]})
    mask = np.array([[False, True], [False, False]])
    figure = drawn_table(table, "Title", ours=mask, bold=mask)
    assert set(texts(figure)) > {"a", "b", "1.25", "Title", "model", "FLOPs"}
    assert "nan" not in texts(figure)
    shown = {t.get_text(): t for t in figure.axes[0].texts}
    assert (shown["1.25"].get_color(), shown["a"].get_color()) == (OURS, BLACK)
    assert (shown["1.25"].get_fontweight(), shown["a"].get_fontweight()) == ("bold", "normal")


def printed_figures() -> dict[str, Figure]:
    stages = tables.b0_comparison(thesis.b0_table())
    models = tables.scaling_models_table(thesis.scaling_models())
    networks = tables.performance_table(thesis.efficientnet_paper())
    transfer = tables.transfer_table(thesis.transfer_paper())
    printed = {
        n: thesis.printed(n) for n in ("scaling_models", "efficientnet_paper", "transfer_paper")
    }
    return {
        "b0_table": printed_tables.stages_figure(stages),
        "scaling_models": printed_tables.models_figure(printed["scaling_models"], models),
        "efficientnet_paper": printed_tables.performance_figure(
            printed["efficientnet_paper"], networks
        ),
        "transfer_paper": printed_tables.transfer_figure(printed["transfer_paper"], transfer),
    }


def test_tables_show_what_is_printed_in_black_and_what_is_counted_in_blue():
    figures = printed_figures()
    for figure in figures.values():
        assert_legible(figure)
        assert min(t.get_fontsize() for t in figure.axes[0].texts) >= 7.5
    for name, column, form in (
        ("scaling_models", "flops_billions", "{}B"),
        ("scaling_models", "top1", "{}%"),
        ("efficientnet_paper", "params_millions", "{}M"),
        ("efficientnet_paper", "params_ratio", "{}x"),
        ("efficientnet_paper", "flops_ratio", "{}x"),
        ("transfer_paper", "model_acc", "{}%"),
    ):
        black = [t.get_text() for t in figures[name].axes[0].texts if t.get_color() == BLACK]
        for number in thesis.printed(name)[column]:
            assert not number or form.format(number) in black, (name, number)
    blue = [t.get_text() for t in figures["efficientnet_paper"].axes[0].texts
            if t.get_color() == OURS]  # fmt: skip
    assert {"5.29M", "0.39B", "66.35M", "8.4x"} <= set(blue)


def test_rows_that_the_thesis_prints_bold_are_bold():
    bold = {
        name: {t.get_text() for t in figure.axes[0].texts if t.get_fontweight() == "bold"}
        for name, figure in printed_figures().items()
    }
    assert {"81.1%", "1.8B"} <= bold["scaling_models"] and "1.9B" not in bold["scaling_models"]
    assert {"EfficientNet-B7", "84.3%"} <= bold["efficientnet_paper"]
    assert "557M" not in bold["efficientnet_paper"]
    assert {"94.8%", "98.8%", "(9.6x)"} <= bold["transfer_paper"]
    assert "94.7%" not in bold["transfer_paper"]


def test_stanford_cars_is_tinted():
    ax = printed_figures()["transfer_paper"].axes[0]
    tinted = [p.get_y() for p in ax.patches if isinstance(p, Rectangle) and p.get_alpha()]
    rows = {t.get_text(): t.get_position()[1] for t in ax.texts}
    assert tinted == [rows["Stanford Cars"] - 0.5, rows["Stanford Cars"] + 0.5]


def test_makers_leave_no_global_state(b0):
    before = dict(matplotlib.rcParams)
    architecture.chain(b0, 224)
    smoothing.label_smoothing()
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before
