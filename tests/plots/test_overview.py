"""The differences against scipy, and the one picture of them against the runs' files."""

import csv
import itertools
import statistics

import numpy as np
import pytest
from fake_laptop import AS_THE_THESIS, fake_laptop
from fake_runs import fake_run
from figure_checks import SOURCE, assert_apart, assert_legible, rows_of, texts
from matplotlib.colors import to_hex
from scipy import stats

from effnet.paths import DATA
from effnet.plots.differences import differences
from effnet.plots.groups import COLOURS
from effnet.plots.one_factor import one_factor, one_factor_figure
from effnet.plots.overview import overview_figure
from effnet.runs import load_runs
from effnet.verdicts.comparisons import findings
from effnet.verdicts.trained import Trained

REPEATED = "dropout_rate == 0.2 and weight_decay == 0.1"


@pytest.fixture(scope="module")
def laptop(tmp_path_factory):
    reports = fake_laptop(tmp_path_factory.mktemp("laptop"), AS_THE_THESIS, whole=True)
    return load_runs(reports, ("finished",))


def best(runs, query):
    """Best accuracies of the chosen runs in points, from their files."""
    return {
        (run["dropout_rate"], run["weight_decay"], run["seed"]): 100
        * max(row["val_acc_batch_mean"] for row in rows_of(run))
        for _, run in runs.query(query).iterrows()
    }


def published(column, **chosen):
    """The best accuracy of the thesis's runs in its CSV, in points."""
    name, key = ("grid", "published_max_val_acc") if column == "grid" else ("runs", "max_val_acc")
    with open(DATA / "thesis" / f"{name}.csv") as file:
        rows = [r for r in csv.DictReader(file) if all(r[k] == v for k, v in chosen.items())]
    return 100 * max(float(row[key]) for row in rows)


def test_differences_are_scipys(laptop):
    table = differences(laptop).set_index("question")
    for question, first, second in (
        ("pretrained less lite0 from scratch", "pretrained", "scratch_lite"),
        ("pretrained less RGB from scratch (B0)", "pretrained", "scratch_rgb"),
        ("all layers less the last alone", "pretrained", "pretrained_frozen"),
        ("boxes less whole photographs, pretrained", "pretrained", "whole_photographs"),
        ("boxes less whole photographs, RGB from scratch", "scratch_rgb", "whole_photographs"),
    ):
        weights = " and weights.notna()" if question.endswith("photographs, pretrained") else ""
        weights = " and weights.isna()" if question.endswith(", RGB from scratch") else weights
        sides = [best(laptop, f"group == '{g}' and {REPEATED}{weights}") for g in (first, second)]
        a, b = (list(side.values()) for side in sides)
        welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
        row = table.loc[question]
        assert row["difference"] == pytest.approx(statistics.mean(a) - statistics.mean(b))
        assert row["interval"] == pytest.approx((welch.high - welch.low) / 2)
        assert row["over"] == f"{len(a)} and {len(b)} seeds" and row["missing"] == ""
    gray, rgb = (best(laptop, f"group == 'scratch_{kind}'") for kind in ("gray", "rgb"))
    gaps = [gray[key] - rgb[key] for key in gray.keys() & rgb.keys()]
    low, high = stats.t.interval(0.95, len(gaps) - 1, np.mean(gaps), stats.sem(gaps))
    row = table.loc["grayscale less RGB"]
    assert (row["difference"], row["interval"]) == pytest.approx((np.mean(gaps), (high - low) / 2))
    assert row["over"] == f"{len(gaps)} pairs of equal settings and seeds"


def test_published_differences_are_those_of_the_run_table(laptop):
    table = differences(laptop).set_index("question")["published"]
    tuned, rgb, gray = (
        published("grid", group=group) for group in ("pretrained", "scratch_rgb", "scratch_gray")
    )
    frozen = published("runs", group="pretrained_frozen")
    assert table["pretrained less lite0 from scratch"] == pytest.approx(tuned - rgb, abs=1e-3)
    assert table["pretrained less RGB from scratch (B0)"] == pytest.approx(tuned - rgb, abs=1e-3)
    assert table["all layers less the last alone"] == pytest.approx(tuned - frozen, abs=1e-3)
    assert table["grayscale less RGB"] == pytest.approx(gray - rgb, abs=1e-3)
    assert table.isna().sum() == 4  # neither boxes nor drops have a published number


def test_a_drop_of_the_rate_is_worth_its_step(laptop):
    """The curves of `fake_laptop` step up by a tenth where the rate falls in epoch 16; from epochs
    10 to 12 to epochs 13 to 15 they grow by 0.75 %.
    """
    table = differences(laptop).set_index("question")
    question = "what the first drop of the learning rate adds"
    first = laptop[laptop["seed"] == 0]
    tops = [max(row["val_acc_batch_mean"] for row in rows_of(run))
            for _, run in first[first["group"] == "pretrained"].iterrows()]  # fmt: skip
    tuned = table.loc[f"{question}, pretrained"]
    assert tuned["over"] == "3 runs, pretrained" and tuned["claim"] == ""
    assert tuned["difference"] == pytest.approx(9.25 * statistics.mean(tops))
    scratch = table.loc[question]
    assert scratch["over"] == "4 runs, from scratch" and scratch["claim"] == "C070"


def test_verdicts_tell_the_numbers_of_the_table(laptop):
    told = findings(Trained(laptop, False, "made up"))
    for claim, rows in differences(laptop).groupby("claim"):
        if claim:
            row = rows.iloc[0]
            assert told[claim].got.startswith(f"{row['difference']:+.2f} pp (")
            assert told[claim].tolerance == f"±{row['interval']:.2f} pp"


def test_without_a_second_seed_words_stand_in_the_row(laptop):
    once = laptop[laptop["seed"] == 0]
    table = differences(once)
    table = table[~table["question"].str.contains("drop")]  # over runs, not seeds
    assert len(table) == 6 and set(table["missing"]) == {"one seed only"}
    assert table[["difference", "interval"]].isna().all(axis=None)
    figure = overview_figure(once, SOURCE)
    assert texts(figure).count("one seed only") == 6 and "no second seed" in texts(figure)
    tuned = laptop[laptop["group"] == "pretrained"]
    assert differences(tuned).empty and differences(tuned.iloc[:0]).empty
    assert "No two groups" in texts(overview_figure(tuned, SOURCE))


def test_curves_are_the_seeds_and_their_mean_as_far_as_all_of_them_got(tmp_path):
    values = [[0.1, 0.3, 0.4, 0.5], [0.2, 0.3, 0.6]]
    # The last is a seed of before, by other code: no third one.
    for name, seed in (("a", 0), ("b", 1), ("c", 1)):
        curve = values[seed]
        fake_run(tmp_path, name, "scratch_gray", max(curve), epochs=len(curve), seed=seed,
                 lr_drops=(2 - seed,), val_acc=curve)  # fmt: skip
    # Set beside them: better, but never repeated.
    fake_run(tmp_path, "alone", "scratch_gray", 0.9, dropout_rate=0.5)
    ax = overview_figure(load_runs(tmp_path, ("finished",)), SOURCE).axes[0]
    own = [line for line in ax.lines if to_hex(line.get_color()).upper() == COLOURS["scratch_gray"]]
    short, long = sorted((list(line.get_ydata()) for line in own if line.get_linewidth() == 0.8),
                         key=len)  # fmt: skip
    np.testing.assert_allclose(long + short, 100 * np.concatenate(values))
    (bold,) = (line for line in own if line.get_label() == "grayscale from scratch")
    np.testing.assert_allclose(bold.get_ydata(), [15, 30, 50])
    dots = [line.get_xydata()[0] for line in own if line.get_marker() == "o"]
    np.testing.assert_allclose(sorted(map(tuple, dots)), [(1, 30), (2, 40)])
    assert "55.0 %  grayscale from scratch" in texts(ax)


def test_marks_stand_at_the_numbers_of_the_table(laptop):
    curves, forest = overview_figure(laptop, SOURCE).axes
    table = differences(laptop)
    points = [line.get_xdata()[0] for line in forest.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points, table["difference"])
    ends = [bar.get_segments()[0][:, 0] for bar in forest.collections]
    np.testing.assert_allclose([(b - a) / 2 for a, b in ends], table["interval"])
    diamonds = [line.get_xdata()[0] for line in forest.lines if line.get_marker() == "D"]
    np.testing.assert_allclose(diamonds, table["published"].dropna())
    dashed = {line.get_label() for line in curves.lines if line.get_linestyle() == "--"}
    names = {"pretrained, whole photographs", "RGB from scratch, whole photographs"}
    assert names <= dashed and "pretrained (lite0)" not in dashed


@pytest.mark.parametrize("report", ["laptop", "demo", "whole_grid", "seeds", "equal"])
def test_no_words_lie_on_others(report, request, tmp_path):
    if report == "equal":  # all labels would stand at one height
        for group in ("pretrained", "scratch_rgb", "scratch_gray", "pretrained_frozen"):
            fake_run(tmp_path, group, group, 0.5, val_acc=[0.5] * 12, epochs=12)
        runs = load_runs(tmp_path, ("finished",))
    else:
        runs = request.getfixturevalue(report)
    figure = overview_figure(runs, SOURCE)
    assert SOURCE in texts(figure)
    assert_legible(figure)
    assert_apart(figure)


def test_lines_that_end_together_have_labels_apart(tmp_path):
    for number, (rate, decay) in enumerate(itertools.product((0.0, 0.2, 0.4), (0.01, 0.2))):
        fake_run(tmp_path, f"run {number}", "pretrained", 0.5, dropout_rate=rate,
                 weight_decay=decay)  # fmt: skip
    table = one_factor(load_runs(tmp_path, ("finished",)))
    figure = one_factor_figure(table, SOURCE)
    assert {"dropout 0", "dropout 0.2", "dropout 0.4"} <= set(texts(figure).split("\n"))
    assert_apart(figure)
