"""Figures of runs: every one legible on every size of report; seeds, heatmaps, dashboard."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_runs import fake_run
from figure_checks import SOURCE, assert_legible, rows_of, texts

from effnet import thesis
from effnet.plots import answers, comparison, curves, dashboard, groups, heatmaps, listing
from effnet.plots import predictions as pictures
from effnet.runs import load_runs

PUBLISHED = listing.published_settings(thesis.published_runs(), thesis.grid())
CELLS = (thesis.heatmaps(), thesis.heatmaps(colour=True))


def every_figure(runs, data_dir):
    """All makers of this file's modules on one table of runs."""
    best, frozen = (groups.best_of(runs, g) for g in ("scratch_gray", "pretrained_frozen"))
    unnamed = [groups.published_run(PUBLISHED, f"unnamed, figure {n}") for n in (15, 25)]
    yield curves.schedule(runs, SOURCE, PUBLISHED)
    for group in groups.GRID:
        yield curves.best_of_group(runs, group, SOURCE, PUBLISHED)
    yield curves.four_charts(best, "charts", SOURCE, unnamed[0], "scratch_gray")
    yield curves.four_charts(frozen, "frozen", SOURCE, unnamed[1], "pretrained_frozen")
    yield comparison.side_by_side(runs, ("scratch_rgb", "scratch_gray"), SOURCE)
    yield comparison.side_by_side(runs, ("scratch_rgb", "pretrained"), SOURCE)
    for figure in heatmaps.FIGURES:
        yield heatmaps.regularisation_figure(runs, figure, SOURCE, *CELLS)
    yield dashboard.run_table_figure(dashboard.run_table(runs), SOURCE)
    one = groups.best_of(runs, "all")
    yield dashboard.artifacts_figure(dashboard.artifacts(one), one, SOURCE)
    given = answers.answers(runs)
    matrix = answers.correct(given)
    names = ["AM General Hummer SUV 2000", "Chevrolet Silverado 1500 Extended Cab 2012"] * 98
    annotations = pd.DataFrame({"class_id": range(196), "class_name": names})
    yield pictures.matrix_figure(matrix, runs, SOURCE)
    yield pictures.shares_figure(matrix, runs, SOURCE, thesis.prediction_matrix_runs())
    yield pictures.agreement_figure(matrix, runs, SOURCE)
    yield pictures.classes_figure(answers.hardest_classes(given, annotations), SOURCE)
    yield pictures.images_figure(answers.hardest_images(given, annotations), data_dir, SOURCE)


# -- every figure


@pytest.mark.parametrize("report", ["demo", "whole_grid"])
def test_every_figure_is_legible_and_names_its_data(report, request, tmp_path):
    for figure in every_figure(request.getfixturevalue(report), tmp_path):
        assert SOURCE in texts(figure)
        assert_legible(figure)


def test_every_figure_without_any_run_says_so(tmp_path):
    figures = list(every_figure(load_runs(tmp_path), tmp_path))
    assert len(figures) == 23
    for figure in figures:
        assert "no finished run" in texts(figure).lower() or "no runs" in texts(figure).lower()
        assert_legible(figure)


# -- seeds


def test_spread_counts_other_seeds_of_one_setting_only(seeds, demo, tmp_path):
    settings, width = groups.seed_spread(seeds)
    assert settings == 1 and width == pytest.approx(0.03)
    assert groups.seed_spread(demo)[0] == 0
    assert "unknown" in groups.spread_note(demo)
    twin = fake_run(tmp_path, "a", "pretrained", 0.80)
    record = json.loads((twin / "trial.json").read_text())
    other = fake_run(tmp_path, "b", "pretrained", 0.70)  # the same trial by other code
    assert record["trial"] == json.loads((other / "trial.json").read_text())["trial"]
    assert groups.seed_spread(load_runs(tmp_path))[0] == 0


def test_curves_shade_the_range_of_the_seeds(seeds):
    figure = curves.best_of_group(seeds, "pretrained", SOURCE)
    band = figure.axes[2].collections[0].get_paths()[0].vertices
    runs = [rows_of(run) for _, run in seeds[seeds["name"] != "b"].iterrows()]
    last = [rows[-1]["val_acc_batch_mean"] for rows in runs]
    at_end = band[band[:, 0] == len(runs[0]) - 1][:, 1]
    assert at_end.min() == pytest.approx(min(last)) and at_end.max() == pytest.approx(max(last))
    assert "3 seeds" in texts(figure)
    assert_legible(figure)


# -- heatmaps


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


# -- dashboard


def test_run_table_has_every_state_and_the_last_values(tmp_path):
    fake_run(tmp_path, "done", "pretrained", 0.8)
    failed = fake_run(tmp_path, "failed", "scratch_rgb", state="failed")
    (failed / "metrics.csv").unlink()
    table = dashboard.run_table(load_runs(tmp_path)).set_index("name")
    run = load_runs(tmp_path, ("finished",)).iloc[0]
    rows = rows_of(run)
    assert table.loc["done", "train_acc_last"] == rows[-1]["train_acc_batch_mean"]
    assert table.loc["done", "val_acc_max"] == pytest.approx(0.8)
    assert table.loc["failed", "state"] == "failed"
    assert pd.isna(table.loc["failed", "val_acc_max"])
    shown = texts(dashboard.run_table_figure(table.reset_index(), SOURCE))
    assert "failed" in shown and "0.800" in shown and "–" in shown


def test_published_dashboard_has_the_thesiss_16_rows():
    table = dashboard.published_table(thesis.published_runs())
    assert len(table) == 16 and (table["state"] == "RUNNING").sum() == 1


def test_artifacts_are_the_files_of_the_folder(demo):
    run = demo.iloc[0]
    files = dashboard.artifacts(run).set_index("name")
    assert set(files.index) == {path.name for path in Path(run["path"]).iterdir()}
    assert files.loc["best.ckpt", "size"] == (Path(run["path"]) / "best.ckpt").stat().st_size
    assert (files["what"] != "").all()


@pytest.mark.parametrize(
    ("seconds", "text"), [(48, "48s"), (125, "2min 05s"), (22080, "6h 08min"), (None, "–")]
)
def test_durations(seconds, text):
    assert dashboard.duration(seconds) == text
