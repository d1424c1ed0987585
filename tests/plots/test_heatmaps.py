"""The regularisation heatmaps against the runs they summarise."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from figure_checks import SOURCE, rows_of

from effnet import thesis
from effnet.plots import heatmaps, listing

PUBLISHED = listing.published_settings(thesis.published_runs(), thesis.grid())
CELLS, PRINTED = thesis.heatmaps_exact(), thesis.heatmaps()


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


def test_heatmap_pair_shares_rows_and_shows_counts_plain(demo):
    figure = heatmaps.regularisation_figure(demo, "fig21", SOURCE, CELLS, PRINTED)
    left, right = figure.axes[:2]
    assert left.get_title(loc="left") == "here, 4 runs"
    assert right.get_title(loc="left") == "thesis (published), 15 runs"
    values = heatmaps.regularisation(demo, "pretrained", "dropout_rate")
    cells = left.collections[0].get_array()
    shown = np.ma.getdata(cells)[[0, 2]]  # 0.0 and 0.2 of 0.0, 0.1, 0.2, 0.3
    np.testing.assert_allclose(shown, values[list(heatmaps.STATISTICS)])
    assert np.ma.getmaskarray(cells)[[1, 3]].all()
    counts = [text.get_text() for text in right.texts if text.get_position()[0] == 4]
    assert counts == ["5", "5", "1", "4"] and cells.shape == (4, 4)  # outside the colours
    # The exact digits, and below them those that the thesis prints.
    first = [text.get_text() for text in right.texts if text.get_position()[0] == 0]
    assert first[:4] == ["0.903", "0.9", "0.900", "0.9"]


def test_a_side_has_its_own_colours_where_the_ranges_differ(demo):
    narrow, wide = np.array([0.89, 0.9]), np.array([0.1, 0.9])
    ours, theirs = heatmaps._ranges([wide, narrow])
    assert (ours.vmin, ours.vmax, theirs.vmin, theirs.vmax) == (0.1, 0.9, 0.89, 0.9)
    ours, theirs = heatmaps._ranges([wide, wide + 0.05])
    assert ours is theirs and ours.vmax == pytest.approx(0.95)
    assert heatmaps._ranges([narrow[:0], narrow])[0] is None
    bars = heatmaps.regularisation_figure(demo, "fig21", SOURCE, CELLS, PRINTED).axes[2:]
    assert len(bars) == 2


def test_the_printed_digits_are_the_exact_ones_rounded():
    keys = ["figure", "value"]
    exact = CELLS.dropna(subset="figure").set_index(keys).sort_index()
    printed = PRINTED.set_index(keys).sort_index()
    columns = list(heatmaps.STATISTICS)
    assert ((exact[columns] - printed[columns]).abs() <= 0.005 + 1e-6).all(axis=None)


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
    left, right = figure.axes[:2]
    labels = [text.get_text().replace("\n", " ") for text in left.get_yticklabels()]
    assert labels == [
        *("all, 3", "all, 7", "pretrained, 3", "RGB from scratch, 3", "RGB from scratch, 7"),
        *("grayscale from scratch, 3", "grayscale from scratch, 7"),
    ]
    theirs = np.ma.filled(right.collections[0].get_array(), np.nan)
    assert np.isnan(theirs[5]).all() and np.isfinite(np.delete(theirs, 5, axis=0)).all()
    assert theirs[2, 1] == pytest.approx(0.886155)
    assert left.get_title(loc="left") == "here, 12 runs"
    assert right.get_title(loc="left") == "thesis (published), 66 runs"
