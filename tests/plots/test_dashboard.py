"""The dashboard's table of runs and of their files."""

from pathlib import Path

import pandas as pd
import pytest
from fake_runs import fake_run
from figure_checks import SOURCE, rows_of, texts

from effnet import thesis
from effnet.plots import dashboard, groups, listing
from effnet.plots.style import GREY
from effnet.runs import load_runs

PUBLISHED = listing.published_settings(thesis.published_runs(), thesis.grid())


def test_run_table_has_every_state_and_the_last_values(tmp_path):
    fake_run(tmp_path, "done", "pretrained", 0.8)
    failed = fake_run(tmp_path, "failed", "scratch_rgb", state="failed")
    (failed / "metrics.csv").unlink()
    table = dashboard.run_table(load_runs(tmp_path)).set_index("run")
    run = load_runs(tmp_path, ("finished",)).iloc[0]
    rows = rows_of(run)
    assert table.loc["done", "training accuracy, last"] == rows[-1]["train_acc_batch_mean"]
    assert table.loc["done", "validation accuracy, best"] == pytest.approx(0.8)
    assert table.loc["failed", "state"] == "failed"
    assert pd.isna(table.loc["failed", "validation accuracy, best"])
    shown = texts(dashboard.run_table_figure(table.reset_index(), SOURCE))
    assert "failed" in shown and "0.800" in shown and "–" in shown


def test_published_dashboard_has_the_thesiss_16_rows():
    table = dashboard.published_table(PUBLISHED).set_index("run")
    assert len(table) == 16 and (table["shown: state"] == "RUNNING").sum() == 1
    # What it showed of a run that was still training is not what became of it.
    assert table.at["SAN-472", "validation accuracy, best"] == 0.808959
    assert table.at["SAN-472", "shown: val acc max"] == 0.702684
    assert table[["dropout", "batch size"]].notna().sum().tolist() == [15, 15]  # not SAN-464


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


def test_the_title_says_which_runs_are_shown(demo):
    table = dashboard.run_table(demo)
    assert f"All {len(demo)} runs" in texts(dashboard.run_table_figure(table, SOURCE))
    few = dashboard.run_table_figure(table, SOURCE, count=3)
    assert f"The newest 3 of {len(demo)} runs" in texts(few)


def test_no_state_has_the_colour_of_a_group():
    states = {look["color"] for look in dashboard.STATES.values()}
    assert not states & {*groups.COLOURS.values(), GREY}
