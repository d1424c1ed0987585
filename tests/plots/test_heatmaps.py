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
CELLS = (thesis.heatmaps(), thesis.heatmaps(colour=True))


@pytest.mark.parametrize("figure", heatmaps.FIGURES)
def test_the_thesiss_grid_gives_its_counts(figure, whole_grid):
    group, parameter = heatmaps.FIGURES[figure]
    ours = heatmaps.regularisation(whole_grid, group, parameter)
    printed = CELLS[0][CELLS[0]["figure"] == int(figure[3:])].sort_values("value")
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
    figure = heatmaps.regularisation_figure(demo, "fig21", SOURCE, *CELLS)
    left, _, right, _ = figure.axes[:4]
    ours, theirs = left.images[0], right.images[0]
    assert left.get_title(loc="left") == "here, 4 runs"
    assert right.get_title(loc="left") == "thesis (published), 15 runs"
    values = heatmaps.regularisation(demo, "pretrained", "dropout_rate")
    shown = np.ma.getdata(ours.get_array())[[0, 2]]  # 0.0 and 0.2 of 0.0, 0.1, 0.2, 0.3
    np.testing.assert_allclose(shown, values[list(heatmaps.STATISTICS)])
    assert np.ma.getmaskarray(ours.get_array())[[1, 3]].all()
    assert ours.norm.vmin == theirs.norm.vmin and ours.norm.vmax == theirs.norm.vmax
    assert ours.norm.vmax == pytest.approx(0.9983)
    assert "0.903" in texts(figure) and "±0.0006" in texts(figure)


def test_heatmaps_leave_the_frozen_run_out(demo):
    assert heatmaps.regularisation(demo, "all", "dropout_rate")["n_experiments"].sum() == 12


def test_influence_stands_beside_the_spread(seeds):
    table = heatmaps.influence(seeds, "pretrained", CELLS[1]).set_index("parameter")
    dropout = table.loc["dropout_rate"]
    assert dropout["range here"] == pytest.approx(0.13)
    assert dropout["range over seeds"] == pytest.approx(0.03)
    assert dropout["range, thesis (published)"] == pytest.approx(0.9030 - 0.8948)
    assert table.loc["weight_decay", "values here"] == 1
