"""Damaged and foreign files in a profile's folder: readers show what is whole and name the rest."""

import itertools
import shutil
import warnings
from pathlib import Path

import pytest
from campaign import pairs, tries
from damaging import DAMAGES, damage
from fake_runs import fake_profile, fake_run

from effnet import runs as runs_module
from effnet.errors import EffnetError
from effnet.files import Damaged, write_sealed
from effnet.paths import ROOT
from effnet.plots.dashboard import run_table
from effnet.report.content import run_rows
from effnet.report.page import build_report
from effnet.runs import (
    damaged_runs,
    grid_runs,
    load_runs,
    metrics,
    predictions,
    read_grid,
    runs_below,
)
from effnet.training.status import read_status
from effnet.verdicts.claims import judge
from effnet.verdicts.profile import damaged_profile

FILES = ("trial.json", "status.json", "summary.json", "metrics.csv", "predictions_train.csv",
         "predictions_val.csv", "best.ckpt")  # fmt: skip
CASES = [*itertools.product(FILES, ("missing", "empty", "cut"), (0.5,))]
FLIPS = tries(5, 60)
CASES += [*itertools.product(FILES, ("flipped",), [i / (FLIPS - 1) for i in range(FLIPS)])]
CASES.remove(("status.json", "missing", 0.5))  # a run that never began to train


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """As many finished runs as there are cases, and one more; with a grid."""
    reports = tmp_path_factory.mktemp("reports") / "demo"
    count = -(-(len(CASES) + 1) // 12)
    drops = tuple(round(i / 20, 2) for i in range(count))
    fake_profile(reports, dropout_rates=drops, weight_decays=(0.01, 0.1, 0.2, 0.3), frozen=False)
    runs = load_runs(reports)
    entries = runs[["trial_id", "name", "group", "state"]].assign(message="").to_dict("records")
    write_sealed(reports / "grid.json", {"runs": entries})
    return reports


@pytest.fixture
def reports(original, tmp_path):
    return shutil.copytree(original, tmp_path / "demo")


@pytest.fixture
def damaged(reports):
    """Each case in a run of its own: {folder: (file, damage)}."""
    folders = sorted((reports / "runs").iterdir())[: len(CASES)]
    cases = dict(zip(folders, CASES, strict=True))
    for folder, (name, how, at) in cases.items():
        damage(folder / name, how, at)
    return cases


def values(runs):
    """Rows by id, without the place of the folder."""
    rows = runs.drop(columns="path").astype(object).where(runs.drop(columns="path").notna(), None)
    return {row["trial_id"]: row for row in rows.to_dict("records")}


def test_no_damage_changes_a_number_and_every_damage_is_named(original, reports, damaged):
    with pytest.warns(UserWarning) as warned:
        after = values(load_runs(reports, states=("finished",)))
    before = values(load_runs(original))
    assert all(after[trial_id] == before[trial_id] for trial_id in after)
    told = "\n".join(str(warning.message) for warning in warned)
    bad = dict(damaged_runs(reports))
    for folder, (name, how, _) in damaged.items():
        if (
            folder.name in after
        ):  # white space, or the weights, which are checked when they are read
            assert how == "flipped", (name, how)
        else:
            reason = next(text for path, text in bad.items() if path.endswith(folder.name))
            assert name in reason and reason in told
    assert len(after) + len(bad) == len(before)
    assert len(bad) > 0.75 * len(CASES)


def test_a_damaged_table_is_never_shown(reports, damaged):
    for folder, (name, _, _) in damaged.items():
        if name in ("metrics.csv", "predictions_val.csv", "predictions_train.csv"):
            read = metrics if name == "metrics.csv" else predictions
            split = () if name == "metrics.csv" else (name[12:-4],)
            with pytest.raises(Damaged, match=name):
                read(folder, *split)


@pytest.mark.filterwarnings("ignore:a run is left out")
def test_claims_are_judged_by_what_is_whole(original, reports, damaged):
    left = load_runs(reports, states=("finished",))["trial_id"]
    for folder in (original / "runs").iterdir():
        if folder.name not in set(left):
            assert folder.name not in set(grid_runs(reports)["trial_id"])
    assert len(judge(reports)) == 155


@pytest.mark.filterwarnings("ignore:a run is left out")
def test_the_page_shows_what_is_whole_and_names_the_rest(reports, damaged):
    page = build_report(reports).read_text(encoding="utf-8")
    for path, _ in damaged_runs(reports):
        assert Path(path).name in page
    assert "Damaged files" in page


def test_a_run_killed_before_it_told_of_its_last_epoch_is_on_the_page(reports):
    """Its metrics.csv is a row ahead of what status.json lists: no curves yet, and no end."""
    folder = next((reports / "runs").iterdir())
    status = read_status(folder)
    write_sealed(folder / "status.json", status | {"state": "interrupted", "message": "killed"})
    with open(folder / "metrics.csv", "a") as file:
        file.write("99,0.1\n")
    page = build_report(reports).read_text(encoding="utf-8")
    assert folder.name in page and (folder / "index.html").exists()


@pytest.mark.parametrize("name, how", pairs(["grid.json", "profile.json"], DAMAGES))
def test_a_profile_s_own_files(reports, name, how):
    damage(reports / name, how)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        table = judge(reports)
    assert len(table) == 155
    told = "".join(str(warning.message) for warning in warned) + damaged_profile(reports)
    assert (name in told) == ((name, how) != ("grid.json", "missing"))


def test_what_is_no_run_is_named_and_left_out(reports):
    before = len(load_runs(reports))
    for stray, text in {"zzz": "", "yyy": "{}", "xxx": "[1, 2]"}.items():
        (reports / "runs" / stray).mkdir()
        (reports / "runs" / stray / "trial.json").write_text(text)
    (reports / "runs" / "empty").mkdir()
    (reports / "runs" / "notes.txt").write_text("mine")
    moved = next((reports / "runs").iterdir())
    shutil.copytree(moved, reports / "runs" / "a copy")
    with pytest.warns(UserWarning):
        assert len(load_runs(reports)) == before
    named = " ".join(path for path, _ in damaged_runs(reports))
    assert all(stray in named for stray in ("zzz", "yyy", "xxx", "a copy"))
    assert "empty" not in named and "notes.txt" not in named


def test_a_run_that_says_running_is_believed_while_its_process_lives(reports):
    import os
    import platform
    from datetime import UTC, datetime, timedelta

    folder = next((reports / "runs").iterdir())
    status = read_status(folder) | {"state": "running", "pid": os.getpid()}
    now = datetime.now(UTC)
    for host, pid, age, state in (
        (platform.node(), os.getpid(), 0, "running"),
        (platform.node(), 2**22 + 1, 0, "interrupted"),  # no such process
        (platform.node(), os.getpid(), 600, "interrupted"),  # another one with its number
        ("elsewhere", 2**22 + 1, 0, "running"),
        ("elsewhere", 2**22 + 1, 600, "interrupted"),
    ):
        updated = (now - timedelta(seconds=age)).isoformat()
        new = {"host": host, "pid": pid, "updated": updated}
        write_sealed(folder / "status.json", status | new)
        row = load_runs(reports).set_index("trial_id").loc[folder.name]
        assert row["state"] == state, (host, pid, age)
        assert (str(pid) in row["message"]) == (state == "interrupted")


def test_no_reports_folder_is_said(tmp_path, monkeypatch):
    (tmp_path / "a file").write_text("x")
    (tmp_path / "birds").mkdir()
    monkeypatch.setattr(runs_module, "REPORTS", tmp_path)
    fake_run(tmp_path / "demo", "one")
    for name, what in {
        "none": "is not there", "a file": "is no folder", "birds": "is no report",
        "demo/runs": "is no report",
    }.items():  # fmt: skip
        words = f"{name} {what}: give a profile's folder .{tmp_path}/demo; `make reproduce`"
        with pytest.raises(EffnetError, match=words):
            load_runs(tmp_path / name)
    assert runs_below(tmp_path / "none").empty and read_grid(tmp_path / "none") == []
    assert grid_runs(tmp_path / "none").empty
    with pytest.raises(EffnetError, match="is no folder"):
        judge(tmp_path / "none")


@pytest.mark.parametrize("part", ["runs", "figures"])
def test_a_report_without_runs_has_an_empty_table(tmp_path, part):
    (tmp_path / part).mkdir()
    assert load_runs(tmp_path).empty


def test_a_relative_folder_starts_at_the_checkout(tmp_path, monkeypatch):
    monkeypatch.setattr("effnet.trial.ROOT", tmp_path)
    monkeypatch.chdir(ROOT / "notebooks")
    fake_run(tmp_path / "reports/demo", "one")
    (tmp_path / "reports/demo/runs/stray").mkdir()
    (tmp_path / "reports/demo/runs/stray/trial.json").write_text("{}")
    write_sealed(tmp_path / "reports/demo/grid.json", {"runs": []})
    with pytest.warns(UserWarning, match="stray"):
        assert list(load_runs("reports/demo")["name"]) == ["one"]
    assert len(damaged_runs("reports/demo")) == 1 and read_grid("reports/demo") == []


def test_a_run_that_never_began_is_not_running(tmp_path):
    """Killed between its first file and its first status, or before any."""
    folder = fake_run(tmp_path, "stopped")
    for path in folder.iterdir():
        if path.name != "trial.json":
            path.unlink()
    empty = tmp_path / "runs" / "0123456789ab"
    empty.mkdir()
    (empty / ".lock").touch()
    runs = load_runs(tmp_path)
    assert list(runs["state"]) == ["interrupted"]
    assert list(runs["message"]) == ["stopped before it trained"]
    assert list(run_table(runs)["state"]) == ["interrupted"]
    row = run_rows(runs)[0]
    assert (row["state"], row["last"], row["minutes"]) == ("interrupted", "–", "–")
