"""Runs that differ in their execution alone: the comparison of their accuracies."""

import pandas as pd
import pytest
from fake_runs import DATA_HASH, TRIAL, fake_run
from scipy import stats

from effnet.report.content import run_rows
from effnet.runs import load_runs, runs_below
from effnet.trial import EXECUTION, Trial
from effnet.verdicts.execution import PLAINEST, execution_table, execution_text

PLAIN = {"channels_last": False, "fused": False, "resident": False}
FAST = {"precision": "bf16-mixed", "compile": True, "cuda_graphs": True}
ACCURACIES = (0.80, 0.83, 0.81, 0.82)


def rows(accuracies, speed: float = 100.0, **changes) -> list[dict]:
    """A finished run per accuracy, with seeds from 0 on."""
    run = {**TRIAL, "group": "pretrained", "state": "finished", "data_hash": DATA_HASH}
    run |= {"code_hash": "c0", "device": "cpu", "images_per_second": speed, **changes}
    return [run | {"seed": seed, "max_val_acc": a} for seed, a in enumerate(accuracies)]


def compare(*runs: list[dict]) -> pd.DataFrame:
    return execution_table(pd.DataFrame(sum(runs, [])))


def test_the_same_accuracy():
    table = compare(rows((0.81, 0.82, 0.80, 0.84), 250.0, **FAST), rows(ACCURACIES, **PLAIN))
    assert list(table["setting"]) == [
        "float32, contiguous, unfused, not resident",
        "bf16, channels_last, fused, compiled, CUDA graphs, resident",
    ]
    assert list(table["verdict"]) == ["reference", "same"] and set(table["seeds"]) == {4}
    plain, fast = table.to_dict("records")
    assert plain["mean"] == pytest.approx(0.815) and pd.isna(plain["difference"])
    assert (plain["lowest"], plain["highest"]) == (0.80, 0.83)
    assert plain["spread"] == pytest.approx(0.0129099, rel=1e-4)
    assert fast["difference"] == pytest.approx(0.25) and fast["speedup"] == 2.5
    welch = stats.ttest_ind((0.81, 0.82, 0.80, 0.84), ACCURACIES, equal_var=False)
    interval = welch.confidence_interval(0.95)
    assert (fast["low"], fast["high"]) == pytest.approx((100 * interval.low, 100 * interval.high))


def test_a_real_difference():
    table = compare(rows(ACCURACIES, **PLAIN), rows([a - 0.1 for a in ACCURACIES], **FAST))
    assert table["verdict"][1] == "differs" and table["high"][1] < 0


@pytest.mark.parametrize("few, many", [(PLAIN, FAST), (FAST, PLAIN)])
def test_one_seed_is_too_few(few, many):
    table = compare(rows([0.5], **few), rows(ACCURACIES, **many))
    assert list(table["verdict"]) == ["reference", "too few seeds"]
    assert table["difference"].notna()[1] and table[["low", "high"]].isna().all(axis=None)


def test_identical_accuracies_are_the_same():
    # Their mean and spread are not exact: the mean of three times 0.7 is not 0.7.
    table = compare(rows([0.7] * 3, **PLAIN), rows([0.7] * 4, **FAST))
    assert table["verdict"][1] == "same" and table["difference"][1] == 0
    assert compare(rows([0.7] * 3, **PLAIN), rows([0.6] * 3, **FAST))["verdict"][1] == "differs"


def test_a_seed_counts_once():
    table = compare(rows([0.8], **PLAIN), rows([0.8], recipe="corrected", **PLAIN), rows([0.8]))
    assert list(table["seeds"]) == [1, 1]


def test_old_folders_lack_fields():
    fields = set(TRIAL) - {"fused", "resident", "cuda_graphs"}
    fields |= {"group", "state", "device", "data_hash", "code_hash", "max_val_acc"}
    old = [{f: run[f] for f in fields} for run in rows(ACCURACIES, channels_last=False)]
    for runs in (old, old + rows(ACCURACIES, data_hash="other")):
        assert compare(runs).empty
    table = compare(old, rows(ACCURACIES))
    assert list(table["setting"]) == ["float32, contiguous, fused", "float32, channels_last, fused"]
    runs = pd.DataFrame(old).assign(trial_id="0", name="a", seconds=None)
    assert run_rows(runs)[0]["execution"] == "float32, contiguous, fused"


@pytest.mark.parametrize(
    "other",
    [{"dropout_rate": 0.3}, {"data_hash": "other"}, {"code_hash": "other"}, {"device": "H200"}]
    + [{"state": "failed"}, {"max_val_acc": None}, {"n_classes": 20}, {"weights": "demo"}],
)
def test_nothing_to_compare(other):
    fast = [run | other for run in rows(ACCURACIES, **FAST)]
    assert compare(rows(ACCURACIES, **PLAIN), fast).empty
    assert compare(rows(ACCURACIES), rows(ACCURACIES, data_dir="elsewhere")).empty


def test_no_runs_and_runs_without_metrics(tmp_path):
    assert execution_table(runs_below(tmp_path)).empty
    for setting in (PLAIN, FAST):
        (fake_run(tmp_path, "a", **setting) / "metrics.csv").unlink()
    assert execution_table(load_runs(tmp_path)).empty


def test_the_folder_of_the_data_is_a_place():
    table = compare(rows(ACCURACIES, **PLAIN), rows(ACCURACIES, data_dir="elsewhere", **FAST))
    assert len(table) == 2


def test_every_set_of_runs_has_its_own_reference():
    bf16 = {"precision": "bf16-mixed"}
    parts = [
        rows([0.1 * k + a / 10 for a in ACCURACIES], 100.0 * k, dropout_rate=0.1 * k, **setting)
        for k in (1, 2)
        for setting in (FAST, bf16 | {"channels_last": False}, bf16, {"compile": True}, {})
    ]
    table = compare(*parts, rows(ACCURACIES, dropout_rate=0.9))
    assert list(table["reference"]) == [True, False, False, False, False] * 2
    assert set(table["setting"][table["reference"]]) == {"float32, channels_last, fused"}
    assert set(table["speedup"]) == {1.0} and set(table["difference"].dropna()) == {0.0}


def test_settings_are_ordered_and_read_by_all_their_fields():
    assert sorted(PLAINEST) == sorted(EXECUTION)
    start = {name: getattr(Trial(), name) for name in EXECUTION}
    texts = {execution_text(start, resident=True)}
    for name, value in start.items():
        other = "bf16-mixed" if name == "precision" else not value
        texts.add(execution_text(start | {name: other}, resident=True))
    assert len(texts) == 1 + len(EXECUTION)
    assert "resident" not in execution_text(start)
