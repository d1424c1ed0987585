"""The re-analysis of the published grid, against values computed another way."""

import itertools

import numpy as np
import pandas as pd
import pytest
from figure_checks import assert_legible, texts
from scipy import linalg, stats

from effnet import thesis
from effnet.plots import confounding
from effnet.plots import published_grid as grids
from effnet.plots.published_grid import ACCURACY

GRID = grids.published_grid()
FACTORS = ("dropout_rate", "weight_decay")


def projected(y: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """What of y the columns cannot explain, by an orthonormal basis of their span."""
    basis = linalg.orth(columns)
    return y - basis @ (basis.T @ y)


def dummies(values: pd.Series) -> np.ndarray:
    return (values.to_numpy()[:, None] == np.unique(values)).astype(float)


@pytest.mark.parametrize("query", grids.LIKE.values(), ids=list(grids.LIKE))
def test_f_tests_equal_those_of_projections(query):
    runs = GRID.query(query)
    tests = grids.additive_fit(runs)[0].set_index("factor")
    y = runs[ACCURACY].to_numpy()
    both = np.hstack([dummies(runs[factor]) for factor in FACTORS])
    residual = projected(y, both) @ projected(y, both)
    freedom = len(y) - np.linalg.matrix_rank(both)
    for factor, other in itertools.permutations(FACTORS):
        without = projected(y, dummies(runs[other]))
        df = runs[factor].nunique() - 1
        ratio = (without @ without - residual) / df / (residual / freedom)
        assert tests.at[factor, "F"] == pytest.approx(ratio)
        assert tests.at[factor, "p"] == pytest.approx(1 - stats.f.cdf(ratio, df, freedom))
        assert (tests.at[factor, "df"], tests.at[factor, "df_residual"]) == (df, freedom)


def test_effects_of_one_factor_are_differences_of_means():
    runs = GRID.query("group == 'scratch_rgb' and lr_patience == 3")
    effects = grids.additive_fit(runs, ("dropout_rate",))[1].set_index("level")
    means = runs.groupby("dropout_rate")[ACCURACY].mean()
    assert np.allclose(effects["effect"], means - means.iloc[0])
    first, last = (runs.loc[runs["dropout_rate"] == rate, ACCURACY] for rate in (0.0, 0.3))
    pooled = [v for _, v in runs.groupby("dropout_rate")[ACCURACY]]
    freedom = len(runs) - len(pooled)
    sd = np.sqrt(sum(((v - v.mean()) ** 2).sum() for v in pooled) / freedom)
    half = stats.t.ppf(0.975, freedom) * sd * np.sqrt(1 / len(first) + 1 / len(last))
    assert effects.at[0.3, "high"] - effects.at[0.3, "effect"] == pytest.approx(half)
    assert stats.f_oneway(*pooled).pvalue == pytest.approx(
        grids.additive_fit(runs, ("dropout_rate",))[0]["p"].iloc[0]
    )


def test_a_balanced_fit_finds_the_effects_that_were_put_in():
    rates, decays = [0.0, 0.1, 0.2], [0.1, 0.2]
    rows = [(p, w, 0.5 - p + 2 * w) for p in rates for w in decays]
    runs = pd.DataFrame(rows, columns=[*FACTORS, ACCURACY])
    runs[ACCURACY] += [0.001, -0.001, -0.001, 0.001, 0.0, 0.0]  # no part of either factor
    effects = grids.additive_fit(runs)[1].set_index(["factor", "level"])["effect"]
    assert effects["dropout_rate", 0.2] == pytest.approx(-0.2)
    assert effects["weight_decay", 0.2] == pytest.approx(0.2)


def test_factors_that_go_together_are_refused():
    runs = pd.DataFrame(
        {"dropout_rate": [0, 0, 1, 1], "weight_decay": [0, 0, 1, 1], ACCURACY: [1.0, 2, 3, 4]}
    )
    with pytest.raises(ValueError, match="cannot tell"):
        grids.additive_fit(runs)


def test_pairs_are_equal_in_what_is_matched():
    """By plain loops over all pairs of runs."""
    gray = GRID[(GRID["group"] == "scratch_gray") & ~GRID["interrupted"]]
    rgb = GRID[(GRID["group"] == "scratch_rgb") & ~GRID["interrupted"]]
    matched = ["decay_per_epoch", "dropout_rate", "lr_patience"]
    gaps = [
        a.published_max_val_acc - b.published_max_val_acc
        for a in gray.itertuples()
        for b in rgb.itertuples()
        if all(abs(getattr(a, m) - getattr(b, m)) < 1e-9 for m in matched)
    ]
    table = grids.like_with_like(GRID).set_index("question")
    row = table.loc["grayscale against RGB, same decay per epoch"]
    assert row["pairs"] == len(gaps) == 4 and row["difference"] == pytest.approx(np.mean(gaps))
    noise = thesis.noise().set_index("id")["sd"]
    sds = noise[["rgb_patience7_batch96", "gray_decay_to_0.1_without_463"]]
    # Welch's interval, by its textbook formula.
    parts = sds.to_numpy() ** 2 / 4
    freedom = parts.sum() ** 2 / (parts[0] ** 2 / 7 + parts[1] ** 2 / 10)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(parts.sum())
    assert row["high"] - row["difference"] == pytest.approx(half)


def test_what_remains_follows_from_the_numbers():
    table = grids.like_with_like(GRID)
    for row in table.to_dict("records"):
        holds_zero = row["low"] <= 0 <= row["high"]
        assert holds_zero == row["what remains"].startswith("open")
    better = GRID.copy()  # a world in which grayscale is far ahead at equal decay per epoch
    better.loc[better["group"] == "scratch_gray", ACCURACY] += 0.1
    shifted = grids.like_with_like(better).set_index("question")["what remains"]
    assert shifted["grayscale against RGB, same decay per epoch"] == "holds"
    apart = GRID.assign(batch_size=lambda t: t["batch_size"] + t["dropout_rate"] * 10)
    asked = grids.like_with_like(apart).set_index("question")
    assert asked.at["RGB: dropout 0.4 to 0.6 against 0 to 0.3", "pairs"] == 0
    assert "cannot tell" in asked.at["RGB: dropout 0.4 to 0.6 against 0 to 0.3", "what remains"]


def test_the_interrupted_runs_are_two_and_pull_their_rows_down():
    assert set(GRID.loc[GRID["interrupted"], "run"]) == {"SAN-454", "SAN-470"}
    rows = grids.row_means(GRID)
    assert len(rows) == 7 and (rows["mean"] < rows["without"].fillna(1)).all()


def test_the_colleagues_sweeps_change_one_thing():
    for factor in ("dropout", "weight_decay"):
        for line in grids.sweep(factor):
            settings = line.drop(columns=[factor, "experiment"]).loc[
                :, "loss":"lr_scheduler_params"
            ]
            assert (settings.nunique(dropna=False) == 1).all() and line[factor].nunique() > 3


@pytest.mark.parametrize("name", ["dropout", "decay", "noise", "sibling"])
def test_figures_of_the_grid_are_legible_and_say_that_nothing_is_ours(name):
    figure = getattr(confounding, f"{name}_figure")(GRID)
    assert "nothing was trained here" in texts(figure)
    assert_legible(figure)


def test_the_expected_best_is_that_of_many_draws():
    draws = np.random.default_rng(0).normal(0.9, 0.003, (20_000, 15)).max(axis=1)
    assert confounding.expected_best(0.9, 0.003, 15) == pytest.approx(draws.mean(), abs=1e-4)
