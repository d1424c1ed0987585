"""Figures 1 to 13, 17 and 18 and their tables, against what they must show."""

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
import torchvision.transforms.functional as F
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from effnet import augment, thesis
from effnet.errors import EffnetError
from effnet.model import SCALES, build_model
from effnet.plots import architecture, augmentation, dataset, dataset_tables, scaling, smoothing
from effnet.plots import scaling_tables as tables
from effnet.plots.blocks import block_slabs, residual_blocks
from effnet.plots.drawn_table import drawn_table
from effnet.published import NORMALIZATIONS


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


# architecture ---------------------------------------------------------------------------------


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


# scaling --------------------------------------------------------------------------------------


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


# data set -------------------------------------------------------------------------------------


def test_published_annotations_give_the_thesis_figure():
    published = thesis.annotations()
    bars = thesis.class_distribution()
    figure = dataset.distribution(published, bars)
    heights = [p.get_height() for p in figure.axes[0].patches if isinstance(p, Rectangle)]
    assert [int(h) for h in heights[:30]] == bars["n_classes"].tolist()
    named = [text for text in texts(figure) if "GMC Savana" in text]
    assert named == ["GMC Savana Van 2012 (class 118):\n136 images"]


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
    figure = dataset.montage(tmp_path, annotations, width=40)
    pictures = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    if count > 40:  # one mosaic, 7 tiles of 40 x 24 pixels a line
        pictures = [pictures[0][i // 7 * 24 + 20, i % 7 * 40 + 35] for i in range(count)]
    levels = [int(np.asarray(p).reshape(-1, 3)[-1, 0]) for p in pictures]
    assert levels == list(range(count))


def test_montage_names_an_unreadable_image(tmp_path):
    annotations = painted(tmp_path, 2)
    (tmp_path / "1-1.png").write_bytes(b"")
    with pytest.raises(EffnetError, match="1-1.png"):
        dataset.montage(tmp_path, annotations)


def test_boxes_count_their_last_pixels(tmp_path):
    boxes = pd.DataFrame(
        {"path": ["a", "b"], "x1": [1.0, 1], "y1": [1.0, 1], "x2": [50.0, 25], "y2": [30.0, 30]}
    )
    sizes = pd.DataFrame({"path": ["a", "b"], "width": 50, "height": 30})
    left, right = dataset.box_sizes(boxes, sizes).axes
    assert left.collections[0].get_offsets().tolist() == [[50, 30], [25, 30]]
    assert right.get_legend().get_texts()[0].get_text() == "median 75"
    empty = boxes.assign(x1=np.nan)
    assert "This data set has no boxes." in texts(dataset.box_sizes(empty))


# loss and transforms --------------------------------------------------------------------------


def test_smoothing_targets_and_identity():
    right, other = smoothing.implied_targets(0.1, 196)
    assert right == pytest.approx(1 - 0.1 + 0.1 / 196, abs=1e-6)
    assert other == pytest.approx(0.1 / 196, abs=1e-6)
    assert smoothing.identity_table()["largest relative difference"].max() < 1e-6
    figure = smoothing.label_smoothing()
    figure.canvas.draw()  # the formula parses
    shown = " ".join(texts(figure))
    assert r"\varepsilon" in shown and "20.4" in shown and "0.00051" in shown


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
    warp = augment.warp
    monkeypatch.setattr(augment, "warp", lambda *a: warp(*a).roll(1, dims=3))
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


def test_makers_leave_no_global_state(b0):
    before = dict(matplotlib.rcParams)
    architecture.chain(b0, 224)
    smoothing.label_smoothing()
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == before
