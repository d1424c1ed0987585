"""What a difference between runs is worth, against scipy."""

import numpy as np
import pandas as pd
import pytest
from fake_runs import fake_run
from scipy import stats

from effnet import thesis
from effnet.plots.expected import expectations, summary
from effnet.plots.one_factor import crop_table, one_factor
from effnet.plots.published_grid import published_grid
from effnet.plots.scatter import (
    Scatter,
    half_width,
    mean_interval,
    published_scatter,
    range_limit,
    seed_scatter,
    welch,
)
from effnet.runs import load_runs


def test_welch_is_scipys():
    a, b = [0.90, 0.91, 0.89, 0.905], [0.88, 0.885, 0.87]
    half = welch(np.var(a, ddof=1) / 4, 3, np.var(b, ddof=1) / 3, 2)
    interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert half == pytest.approx((interval.high - interval.low) / 2)
    assert mean_interval(a) == pytest.approx(
        np.mean(a) - stats.t.interval(0.95, 3, np.mean(a), stats.sem(a))[0]
    )


def test_two_single_runs_share_one_estimate():
    one = published_scatter("pretrained")
    assert (one.sd, one.freedom) == (0.002934, 14) and "15 like runs" in one.words
    assert half_width(one, one) == pytest.approx(stats.t.ppf(0.975, 14) * one.sd * 2**0.5)
    # Ten runs on either side know their means better; many comparisons at once ask for more.
    assert half_width(one, one, (10, 10)) == pytest.approx(half_width(one, one) / 10**0.5)
    assert half_width(one, one, comparisons=7) > 1.3 * half_width(one, one)
    assert half_width(Scatter(0, 1, ""), Scatter(0, 1, "")) == 0


def test_the_range_limit_is_that_of_drawn_ranges():
    draws = np.random.default_rng(0).normal(0, 1, (20_000, 4))
    known = Scatter(1.0, 1e6, "")
    assert range_limit(known, 4) == pytest.approx(
        np.quantile(np.ptp(draws, axis=1), 0.95), abs=0.05
    )


def test_seeds_of_settings_are_pooled(tmp_path):
    values = {0.0: [0.80, 0.83, 0.81], 0.2: [0.70, 0.74], 0.3: [0.9]}
    for rate, accuracies in values.items():
        for seed, accuracy in enumerate(accuracies):
            fake_run(tmp_path, f"{rate} {seed}", accuracy and "pretrained", accuracy,
                     dropout_rate=rate, seed=seed)  # fmt: skip
    scatter = seed_scatter(load_runs(tmp_path))
    squares = sum(np.var(v, ddof=1) * (len(v) - 1) for v in list(values.values())[:2])
    assert scatter.sd == pytest.approx((squares / 3) ** 0.5) and scatter.freedom == 3
    assert scatter.words == "5 runs here, of 2 settings over seeds"
    assert seed_scatter(load_runs(tmp_path).query("dropout_rate == 0.3")) is None


def test_each_published_run_has_its_own_expectation(tmp_path):
    cells = thesis.grid().set_index("run")
    for name, off, seed in (("SAN-396", 0.003, 0), ("SAN-396 seed 1000", 0.005, 1000),
                            ("SAN-441", -0.2, 0), ("SAN-454", 0.5, 0)):  # fmt: skip
        cell = cells.loc[name.split(" seed")[0]]
        fake_run(
            tmp_path, name, cell["group"], cell["published_max_val_acc"] + off, seed=seed,
            dropout_rate=cell["dropout_rate"], weight_decay=cell["weight_decay"],
        )  # fmt: skip
    table = expectations(load_runs(tmp_path), published_grid()).set_index("run")
    assert len(table) == 65 and table["got"].notna().sum() == 3
    twice = table.loc["SAN-396"]
    assert twice["seeds"] == 2 and twice["difference"] == pytest.approx(0.004, abs=1e-4)
    assert twice["in scatters"] == pytest.approx(twice["difference"] / 0.002934)
    assert twice["within"] is True and table.loc["SAN-441", "within"] is False
    assert table.loc["SAN-392", "within"] is None
    said = summary(table.reset_index())
    assert said.startswith("3 of the 65") and "1 of 2 (50%)" in said and "1 published" in said


def test_one_factor_joins_runs_that_are_equal_in_all_else(tmp_path):
    points = [(0.0, 0.1, 32), (0.2, 0.1, 32), (0.0, 0.2, 32), (0.4, 0.1, 96)]
    for rate, decay, batch in points:
        for seed, off in enumerate((0.0, 0.02)):
            fake_run(
                tmp_path, f"{rate} {decay} {seed}", "scratch_rgb", 0.5 + rate / 10 + off, seed=seed,
                dropout_rate=rate, weight_decay=decay, batch_size=batch,
            )  # fmt: skip
    table = one_factor(load_runs(tmp_path))
    found = {p: list(part["value"]) for p, part in table.groupby("parameter")}
    assert found == {"dropout_rate": [0.0, 0.2], "weight_decay": [0.1, 0.2]}
    assert (table["seeds"] == 2).all() and table["interval"].notna().all()
    assert one_factor(pd.DataFrame()).empty


def test_whole_photographs_stand_beside_the_same_settings_cropped(tmp_path):
    values = {"scratch_rgb": [0.40, 0.42, 0.41], "whole_photographs": [0.30, 0.33]}
    for group, accuracies in values.items():
        for seed, accuracy in enumerate(accuracies):
            fake_run(tmp_path, f"{group} {seed}", group, accuracy, seed=seed, data_dir=group)
    fake_run(tmp_path, "another decay", "scratch_rgb", 0.9, weight_decay=0.3)
    row = crop_table(load_runs(tmp_path)).iloc[0]
    assert (row["seeds whole"], row["seeds cropped"]) == (2, 3)
    assert row["difference"] == pytest.approx(0.41 - 0.315)
    cropped, whole = values.values()
    interval = stats.ttest_ind(cropped, whole, equal_var=False).confidence_interval(0.95)
    assert row["interval"] == pytest.approx((interval.high - interval.low) / 2)
    assert crop_table(pd.DataFrame()).empty
