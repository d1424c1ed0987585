"""The regularisation heatmaps against the runs they summarise."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from figure_checks import SOURCE, rows_of, texts

from effnet import thesis
from effnet.plots import heatmaps, listing

PUBLISHED = listing.published_settings(thesis.published_runs(), thesis.grid())
CELLS = thesis.heatmaps_exact()


@pytest.mark.parametrize("figure", heatmaps.FIGURES)
def test_the_thesiss_grid_gives_its_counts(figure, whole_grid):
    group, parameter = heatmaps.FIGURES[figure]
    ours = heatmaps.regularisation(whole_grid, group, parameter)
    printed = CELLS[CELLS["figure"] == int(figure[3:])].sort_values("value")
    assert ours["value"].tolist() == printed["value"].tolist()
    assert ours["n_experiments"].tolist() == printed["n_experiments"].tolist()


@pytest.mark.parametrize("accuracy", ["batches", "images"])
def test_regularisation_is_maximum_and_mean_of_the_runs_bests(accuracy, whole_grid):
    suffix = "_batch_mean" if accuracy == "batches" else ""
    bests = defaultdict(list)
    for _, run in whole_grid[whole_grid["group"] == "scratch_gray"].iterrows():
        trial = json.loads((Path(run["path"]) / "trial.json").read_text())["trial"]
        rows = rows_of(run)
        best = [max(row[f"{split}_acc{suffix}"] for row in rows) for split in ("val", "train")]
        bests[trial["weight_decay"]].append(best)
    table = heatmaps.regularisation(whole_grid, "scratch_gray", "weight_decay", accuracy)
    for row in table.itertuples():
        val, train = zip(*bests[row.value], strict=True)
        assert row.max_val_acc_max == pytest.approx(max(val))
        assert row.max_val_acc_mean == pytest.approx(sum(val) / len(val))
        assert row.max_train_acc_max == pytest.approx(max(train))
        assert row.max_train_acc_mean == pytest.approx(sum(train) / len(train))


def test_heatmap_pair_shares_rows_and_colour_range(demo):
    figure = heatmaps.regularisation_figure(demo, "fig21", SOURCE, CELLS)
    left, _, right, _ = figure.axes[:4]
    ours, theirs = left.images[0], right.images[0]
    assert left.get_title(loc="left") == "here, 4 runs"
    assert right.get_title(loc="left") == "thesis (published), 15 runs"
    values = heatmaps.regularisation(demo, "pretrained", "dropout_rate")
    shown = np.ma.getdata(ours.get_array())[[0, 2]]  # 0.0 and 0.2 of 0.0, 0.1, 0.2, 0.3
    np.testing.assert_allclose(shown, values[list(heatmaps.STATISTICS)])
    assert np.ma.getmaskarray(ours.get_array())[[1, 3]].all()
    assert ours.norm.vmin == theirs.norm.vmin and ours.norm.vmax == theirs.norm.vmax
    assert ours.norm.vmax == pytest.approx(0.998529)
    assert "0.903" in texts(figure)


def test_heatmaps_leave_the_frozen_run_out(demo):
    assert heatmaps.regularisation(demo, "all", "dropout_rate")["n_experiments"].sum() == 12


def test_influence_stands_beside_the_spread(seeds):
    table = heatmaps.influence(seeds, "pretrained", CELLS).set_index("parameter")
    dropout = table.loc["dropout_rate"]
    assert dropout["range here"] == pytest.approx(0.13)
    assert dropout["range over seeds"] == pytest.approx(0.03)
    assert dropout["range, thesis (published)"] == pytest.approx(0.903196 - 0.894724, abs=1e-6)
    assert table.loc["weight_decay", "values here"] == 1


def test_the_patience_heatmaps_are_the_six_that_the_thesis_left_out(demo):
    figure = heatmaps.patience_figure(demo, SOURCE, CELLS)
    left, _, right, _ = figure.axes[:4]
    labels = [text.get_text().replace("\n", " ") for text in left.get_yticklabels()]
    assert labels == [
        *("all, 3", "all, 7", "pretrained, 3", "RGB from scratch, 3", "RGB from scratch, 7"),
        *("grayscale from scratch, 3", "grayscale from scratch, 7"),
    ]
    theirs = np.ma.filled(right.images[0].get_array(), np.nan)
    assert np.isnan(theirs[5]).all() and np.isfinite(np.delete(theirs, 5, axis=0)).all()
    assert theirs[2, 1] == pytest.approx(0.886155)
    assert left.get_title(loc="left") == "here, 12 runs"
    assert right.get_title(loc="left") == "thesis (published), 66 runs"
