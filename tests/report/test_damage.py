"""The report of a folder in which files are cut, empty, changed or something else."""

import json
import os
import shutil
import tempfile
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from campaign import pairs
from fake_results import fake_figure, fake_table
from fake_runs import fake_profile, rewrite
from places import in_child
from report_site import Page, broken_links, write_notebook

from effnet.errors import command_line
from effnet.files import WRITING, write_sealed
from effnet.report import __main__ as command
from effnet.report import page
from effnet.report.failures import note_failure
from effnet.report.page import build_report
from effnet.runs import load_runs
from effnet.verdicts import __main__ as verdicts
from effnet.verdicts import claims as judging
from effnet.verdicts.claims import judge
from effnet.verdicts.profile import read_profile


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    reports = fake_profile(tmp_path_factory.mktemp("reports") / "demo", (0.0,), (0.01,))
    for figure in ("fig20", "fig21", "fig30", "extra"):
        fake_figure(reports, figure)
    fake_table(reports, "tab_a", pd.DataFrame({"x": [1, 2], "y": ["a", "b"]}))
    write_notebook(reports / "notebooks" / "03_train_pretrained.ipynb", "fig20")
    entries = [
        {"name": run.name, "group": run.group, "trial_id": run.trial_id}
        | {"state": "finished", "message": ""}
        for run in load_runs(reports).itertuples(index=False)
    ]
    write_sealed(reports / "grid.json", {"runs": entries})
    return reports


@pytest.fixture(scope="module")
def claims(whole):
    return judge(whole)


@pytest.fixture
def site(whole, claims, tmp_path, monkeypatch):
    """A copy to damage; its claims are judged once, for that takes seconds."""
    monkeypatch.setattr(page, "write_claims", lambda reports: claims)
    reports = Path(shutil.copytree(whole, tmp_path / "demo"))
    claims.to_csv(reports / "claims.csv", index=False)
    return reports


def built(reports, capsys):
    """The page's text, its list of what is not whole, and what the terminal says."""
    text = build_report(reports).read_text(encoding="utf-8")
    assert broken_links(reports / "index.html") == []
    section = text.split('<section id="failures">')[1:]
    listed = section[0].split("</section>")[0] if section else ""
    return text, listed, capsys.readouterr().err


def test_a_whole_folder_has_no_such_list(site, capsys):
    text, listed, said = built(site, capsys)
    assert (
        listed == said == "" and "4 of 4 runs of the grid" in text and "From an earlier" not in text
    )


JUNK = {
    "empty": lambda old: b"",
    "cut": lambda old: old[: len(old) // 2],
    "noise": lambda old: bytes(range(256)) * 3,
    "list": lambda old: b"[]",
    "null": lambda old: b"null",
    "object": lambda old: b"{}",
}
SHOWN = 'style="--natural: '  # a figure's image, be it a chart or a picture
FILES = ("figures/fig20.json", "figures/fig20.png", "figures/fig20.svg", "tables/tab_a.json",
         "notebooks/03_train_pretrained.ipynb", "./profile.json")  # fmt: skip
CASES = pairs(FILES, list(JUNK))
CASES += [("tables/tab_a.csv", "empty"), ("tables/tab_a.csv", "noise")]


@pytest.mark.parametrize(("name", "junk"), CASES)
def test_a_damaged_file_is_named_and_the_rest_is_shown(site, capsys, name, junk):
    path = site / name
    path.write_bytes(JUNK[junk](path.read_bytes()))
    text, listed, said = built(site, capsys)
    assert "Damaged files" in listed and path.name in listed
    assert f"{path.name} " in said and said.startswith("damaged: ") and said.count("\n") == 2
    for figure in ("fig21", "fig30", "extra"):
        card = text.split(f'<figure id="{figure}"')[1].split("</figure>")[0]
        assert SHOWN in card and "Damaged" not in card
    if name.startswith("figures"):  # the other image, or the image without its record
        card = text.split('<figure id="fig20"')[1].split("</figure>")[0]
        assert SHOWN in card
    if name.startswith("tables"):
        assert ("<td>b</td>" in text) == name.endswith(".json")
    assert (site / "report.md").exists() and (site / "claims.csv").exists()


def test_wrong_fields_of_a_record_are_left_out(site, capsys):
    path = site / "figures" / "fig20.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"caption": 5, "runs": "abc", "seconds": "x", "cell": []}))
    text, listed, _ = built(site, capsys)
    assert "lacks caption, cell, seconds, runs" in listed.replace(",  ", ", ")
    assert SHOWN in text.split('<figure id="fig20"')[1].split("</figure>")[0]


def test_images_that_are_gone_are_named(site, capsys):
    for suffix in (".png", ".svg"):
        (site / "figures" / f"fig20{suffix}").unlink()
    text, listed, _ = built(site, capsys)
    assert "fig20.json</code> its image or table is missing" in listed
    card = text.split('<figure id="fig20"')[1].split("</figure>")[0]
    assert ">Damaged</a>. Notebook 03_train_pretrained makes it." in card


def test_an_image_of_another_execution_is_not_shown(site, capsys):
    """A writer was killed between the image and its record."""
    path = site / "figures" / "fig20.json"
    record = json.loads(path.read_text()) | {"files": {"fig20.png": "0" * 64}}
    path.write_text(json.dumps(record))
    _, listed, _ = built(site, capsys)
    assert "fig20.png</code> is not what its notebook wrote" in listed and "svg" not in listed


def test_a_changed_profile_is_not_believed(site, capsys):
    path = site / "profile.json"
    assert read_profile(site)["data"]["images"] == 112
    path.write_text(path.read_text().replace("112", "16185"))
    text, listed, _ = built(site, capsys)
    assert read_profile(site) == {}
    assert "was changed after it was written" in listed
    assert "16185 images, 8 classes" not in text


def test_the_verdicts_need_no_whole_folder(site, capsys):
    (site / "tables").mkdir(exist_ok=True)
    for name in ("tab_normalisation.csv", "tab_a.csv"):
        (site / "tables" / name).write_bytes(b"channel,mean_per_image\nred")
    next(site.glob("runs/*/predictions_val.csv")).write_bytes(b"")
    (site / "profile.json").unlink()
    verdicts.main([str(site)])
    printed = capsys.readouterr()
    assert "53  claims about training" in printed.out and "profile.json is missing" in printed.err


def test_runs_that_are_damaged_or_failed_are_listed(site, capsys):
    runs = load_runs(site)
    failed, gone, cut = (site / "runs" / runs["trial_id"][i] for i in range(3))
    rewrite(failed / "status.json", state="failed", message="loss is NaN <i>")
    shutil.rmtree(gone)
    (cut / "trial.json").write_text("{")
    text, listed, said = built(site, capsys)
    assert f"{runs['name'][0]} (<code>{failed.name}</code>): loss is NaN &lt;i&gt;" in listed
    assert f"{runs['name'][1]}: missing" in listed and cut.name in listed
    assert "1 of 4 runs of the grid" in text
    assert f"run {runs['name'][0]} ({failed.name}) failed: loss is NaN <i>" in said
    assert command.main(["--check", str(site)]) == 1


def test_figures_of_a_failed_notebook_are_marked_as_earlier(site, capsys):
    assert command.main(["--check", str(site)]) == 0
    notebook = nbformat.v4.new_notebook()
    note_failure(notebook, "failed in cell 9: <b>", datetime(2026, 1, 2, 5, tzinfo=UTC))
    nbformat.write(notebook, site / "notebooks" / "03_train_pretrained.failed.ipynb")
    (site / "notebooks" / "04_train_scratch.failed.ipynb").write_text("{")
    path = site / "figures" / "fig21.json"
    record = json.loads(path.read_text()) | {"created": "2026-01-02T05:00:00+00:00"}
    path.write_text(json.dumps(record))
    text, listed, said = built(site, capsys)
    assert "failed in cell 9: &lt;b&gt;" in listed and "its record cannot be read" in listed
    assert "notebook 03_train_pretrained failed: failed in cell 9: <b>" in said
    cards = {
        f: text.split(f'<figure id="{f}"')[1].split("</figure>")[0] for f in ("fig20", "fig21")
    }
    assert "From an earlier run" in cards["fig20"] and "From an earlier run" not in cards["fig21"]
    assert "From an earlier run: notebook 03" in (site / "report.md").read_text()
    assert command.main(["--check", str(site)]) == 1


def test_litter_of_killed_writers_goes(site, capsys):
    old, new = (site / "figures" / f"{WRITING}fig20-{age}.png" for age in ("old", "new"))
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 4000,) * 2)
    built(site, capsys)
    assert not old.exists() and new.exists()
    assert "writing" not in " ".join(Page(site / "index.html").links)


def test_a_folder_that_cannot_be_written_ends_in_one_message(whole, claims):
    root = os.geteuid() == 0  # whom no permission stops
    made = {}
    with tempfile.TemporaryDirectory() as parent, pytest.MonkeyPatch.context() as patch:
        for module in (judging, verdicts):  # it takes seconds
            patch.setattr(module, "judge", lambda *_: claims)
        os.chmod(parent, 0o755)
        reports = shutil.copytree(whole, f"{parent}/demo")
        os.chmod(reports, 0o555)
        for module in (command, verdicts):
            call = partial(module.main, [reports])
            made[module] = in_child(command_line, call, user=65534 if root else None)
        os.chmod(reports, 0o755)
    report, printed = made[command], made[verdicts]
    assert report.returncode == 1 and "Traceback" not in report.stderr
    message = report.stderr.splitlines()[-1]
    assert message.startswith("error: ") and "claims.csv cannot be written" in message
    assert printed.returncode == 0 and "53  claims about training" in printed.stdout
