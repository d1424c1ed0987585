"""What a session shows where the profile's own trial has failed."""

import json

import numpy as np
import pandas as pd
import pytest
from fake_runs import fake_run, rewrite

from effnet import train
from effnet.files import write_sealed
from effnet.grid.profiles import Profile
from effnet.report import session as sessions
from effnet.report.output import blank_missing


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setattr(Profile, "reports", tmp_path)
    one = sessions.Session("smoke", "03_train_pretrained", "pretrained", {}, "none")
    one.__dict__ |= {"data": None, "checkpoint": None}  # nothing is read or trained here
    failed = fake_run(tmp_path, "first", state="failed")
    rewrite(failed / "status.json", message="loss is NaN")
    monkeypatch.setattr(train, "identify", lambda *_: failed.name)
    return one


def grid(reports, *folders):
    entries = []
    for folder in folders:
        record = json.loads((folder / "trial.json").read_text())
        entry = {name: record[name] for name in ("name", "group", "trial_id")}
        entries.append(entry | {"state": "finished", "message": ""})
    write_sealed(reports / "grid.json", {"runs": entries})


def test_another_run_of_the_group_stands_for_a_failed_one(session, tmp_path, capsys):
    other = fake_run(tmp_path, "other group", "scratch_rgb")
    grid(tmp_path, other, fake_run(tmp_path, "second"), fake_run(tmp_path, "third"))
    assert session.run()["name"] == "second"
    said = "the profile's run first failed (loss is NaN); shown is second\n"
    assert capsys.readouterr().out == said


def test_without_another_run_there_is_none(session, tmp_path, capsys):
    grid(tmp_path, fake_run(tmp_path, "other group", "scratch_rgb"))
    assert session.run() is None
    assert "no run of its group is finished" in capsys.readouterr().out


def test_overridden_parameters_are_tried_again(session, monkeypatch):
    session.overrides = {"epochs": 1}

    def refuse(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "run", refuse)
    with pytest.raises(KeyboardInterrupt):
        session.run()


def test_a_missing_number_is_an_empty_cell_and_none_a_value():
    table = pd.DataFrame({"a": [0.5, np.nan], "b": pd.array([1, None], "Int64"), "c": ["x", "y"]})
    table["d"] = pd.Series([None, 2], dtype=object)
    assert blank_missing(table).to_numpy().tolist() == [[0.5, 1, "x", None], ["", "", "y", 2]]
    assert table["a"].isna().any(), "the table itself stays as it is"
