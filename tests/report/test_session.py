"""What a session shows where the profile's own trial has failed, and what it records."""

import hashlib
import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fake_runs import fake_run, rewrite
from matplotlib.figure import Figure

from effnet import thesis, train
from effnet.errors import EffnetError
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


DATA_HASH = "d1" * 32
RUNS = pd.DataFrame({"trial_id": ["b", "a"]})
CASES = [
    ({}, True, []),
    ({"runs": RUNS}, True, []),
    ({"published": "grid"}, False, ["grid"]),
    ({"published": ("grid", "runs"), "runs": RUNS}, True, ["grid", "runs"]),
    ({"published": "grid", "runs": RUNS.head(0)}, False, ["grid"]),
    ({"published": "claims", "images": True}, True, ["claims"]),
    ({"images": False}, False, []),
]


@pytest.mark.parametrize(("made_from", "own", "files"), CASES)
def test_a_record_names_what_was_really_used(session, made_from, own, files):
    session.__dict__["data"] = SimpleNamespace(data_hash=DATA_HASH) if own else None
    session.table(pd.DataFrame({"a": [1]}), "tab_a", "A caption.", **made_from)
    record = json.loads((session.reports / "tables" / "tab_a.json").read_text())
    assert record["demo"] is own and record["data_hash"] == (DATA_HASH if own else "")
    assert record["runs"] == (["a", "b"] if own and "runs" in made_from else [])
    assert [text.split(" ")[0] for text in record["published"]] == [
        f"data/thesis/{name}.csv" for name in files
    ]


def test_a_figure_of_the_profiles_images_is_of_its_data(session):
    session.__dict__["data"] = SimpleNamespace(data_hash=DATA_HASH)
    session.save(Figure(), "shown", "A caption.", photographs=True, published="claims")
    record = json.loads((session.reports / "figures" / "shown.json").read_text())
    assert record["data_hash"] == DATA_HASH and len(record["published"]) == 1


def test_published_numbers_are_cited_with_their_source_and_hash():
    content = (thesis.FOLDER / "annotations.csv").read_bytes()
    seal = hashlib.sha256(content).hexdigest()[:12]
    assert thesis.cite("annotations").endswith(
        f"(the annotations of Stanford Cars; SHA-256 {seal})"
    )
    assert set(thesis.SOURCES) <= {path.stem for path in thesis.FOLDER.glob("*.csv")}
    with pytest.raises(EffnetError, match="anotations.csv does not exist.* annotations,"):
        thesis.cite("anotations")


def test_a_table_is_shown_as_it_is_written(session, monkeypatch):
    """With the index where it has a name, without the numbers of rows, its columns in words."""
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda value, **_: shown.append(value))
    table = pd.DataFrame({"last_epoch": [7, 8], "share": [0.25, 4e6]})
    named = table.set_index(pd.Index(["x", "y"], name="run"))
    for one, heads in ((named, ["run", "last epoch", "share"]), (table, ["last epoch", "share"])):
        session.table(one, "tab_a", "A caption.", images=False)
        found = re.findall(r"<th>(.*?)</th>", shown[0]["text/html"])
        assert found == heads
        assert all(f"<td>{text}</td>" in shown[0]["text/html"] for text in ("8", "0.25", "4000000"))
        shown.clear()
