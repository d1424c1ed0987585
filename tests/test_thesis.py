"""The published numbers: complete, typed, and consistent with one another."""

import numpy as np
import pandas as pd
import pytest

from effnet import thesis
from effnet.errors import EffnetError

LOADERS = [
    thesis.claims,
    thesis.sections,
    thesis.figures,
    thesis.heatmaps,
    thesis.grid,
    thesis.published_runs,
    thesis.prediction_matrix_runs,
    thesis.class_distribution,
    thesis.scaling_coefficients,
    thesis.scaling_models,
    thesis.scaling_paper,
    thesis.params_vs_accuracy,
    thesis.efficientnet_paper,
    thesis.transfer_paper,
    thesis.b0_table,
    thesis.annotations,
]


@pytest.mark.parametrize("loader", LOADERS, ids=lambda f: f.__name__)
def test_a_loader_returns_a_table_of_its_own(loader):
    first = loader()
    assert len(first) > 0
    first.drop(columns=first.columns[0], inplace=True)
    pd.testing.assert_frame_equal(loader(), loader())
    assert not loader().equals(first)


def test_claims_are_complete_and_all_text():
    claims = thesis.claims()
    assert list(claims["id"]) == [f"C{i:03d}" for i in range(1, 121)] + [
        f"X{i:02d}" for i in range(1, 20)
    ]
    assert all(isinstance(value, str) for value in claims.to_numpy().ravel())
    assert (claims[["claim", "value", "checkable_from", "notebook"]] != "").all(axis=None)
    sources = {"model", "annotations", "train images", "training run", "published data"}
    assert set(claims["checkable_from"]) == sources


def test_claims_and_figures_refer_to_what_exists():
    claims, figures, sections = thesis.claims(), thesis.figures(), thesis.sections()
    assert list(figures["figure"]) == [f"fig{i:02d}" for i in range(1, 35)]
    named = {figure for cell in claims["figure"] for figure in cell.split(";") if figure}
    assert named <= set(figures["figure"])
    assert set(claims["section"]) | set(figures["section"]) <= set(sections["section"])
    assert set(claims["notebook"]) <= set(figures["notebook"])


@pytest.mark.parametrize("parameter", ["dropout_rate", "weight_decay"])
@pytest.mark.parametrize("group", ["pretrained", "scratch_rgb", "scratch_gray", "all"])
def test_the_grid_has_the_run_counts_of_the_heatmaps(group, parameter):
    grid = thesis.grid()
    runs = grid if group == "all" else grid[grid["group"] == group]
    heat = thesis.heatmaps().query("group == @group and parameter == @parameter")
    counts = runs[parameter].value_counts().sort_index()
    assert dict(counts) == dict(zip(heat["value"], heat["n_experiments"], strict=True))


def test_printed_and_coloured_heatmaps_agree():
    keys = ["figure", "group", "parameter", "value"]
    both = thesis.heatmaps().merge(thesis.heatmaps(colour=True), on=keys, suffixes=("", "_colour"))
    assert len(both) == 48
    for column in ("max_val_acc_max", "max_val_acc_mean", "max_train_acc_max"):
        gap = (both[column] - both[f"{column}_colour"]).abs()
        assert (gap <= 0.005 + both["plus_minus"] + 1e-9).all()


def test_annotations_give_the_published_counts():
    table = thesis.annotations()
    assert list(table.columns) == [
        *("path", "class_id", "class_name", "split", "x1", "y1", "x2", "y2"),
    ]
    assert len(table) == 16_185 and table["path"].is_unique
    assert dict(table["split"].value_counts()) == {"train": 8144, "test": 8041}
    of_class = table["class_id"].value_counts()
    assert len(of_class) == 196 and of_class.idxmax() == 118 and of_class.max() == 136
    assert set(table.loc[table["class_id"] == 118, "class_name"]) == {"GMC Savana Van 2012"}
    assert (table["x1"] < table["x2"]).all() and (table["y1"] < table["y2"]).all()
    bars, edges = np.histogram(of_class, bins=30)
    bins = thesis.class_distribution()
    assert list(bars) == list(bins["n_classes"])
    np.testing.assert_allclose(edges[:-1], bins["left"], atol=0.005)


def test_class_names_are_by_id():
    names = thesis.class_names()
    assert len(names) == len(set(names)) == 196
    assert names[118] == "GMC Savana Van 2012" and names[183] == "Suzuki SX4 Sedan 2012"


def test_identical_columns_of_the_prediction_matrix_name_each_other():
    table = thesis.prediction_matrix_runs().dropna(subset=["drawn_identical_to"])
    twins = {row.run: set(row.drawn_identical_to.split(";")) for row in table.itertuples()}
    assert all(run in twins[other] for run, others in twins.items() for other in others)


def test_runs_and_grid_agree_on_the_listed_runs():
    runs = thesis.published_runs().set_index("run")
    grid = thesis.grid().dropna(subset=["run"]).set_index("run")
    for name in ("SAN-396", "SAN-448", "SAN-437"):
        assert grid.at[name, "published_max_val_acc"] == runs.at[name, "max_val_acc"]
        assert grid.at[name, "dropout_rate"] == runs.at[name, "dropout_rate"]
        assert grid.at[name, "weight_decay"] == runs.at[name, "weight_decay"]
        assert grid.at[name, "lr_patience"] == runs.at[name, "patience"]


def test_a_missing_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(thesis, "FOLDER", tmp_path)
    thesis._cached.cache_clear()
    with pytest.raises(EffnetError, match=r"grid\.csv is missing"):
        thesis.grid()
    thesis._cached.cache_clear()
