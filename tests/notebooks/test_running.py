"""The notebooks as people run them: `make reproduce`, `make run`, papermill from two places."""

import json
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from commands import command, make

from effnet import thesis
from effnet.errors import EffnetError
from effnet.grid.profiles import Profile
from effnet.paths import REPORTS, ROOT
from effnet.report import __main__ as report
from effnet.report import runner
from effnet.report.chapters import chapters
from effnet.runs import read_grid

SMOKE = REPORTS / "smoke"
# The thesis's chapters; the one on a reader's own images is no part of them.
NOTEBOOKS = [path for path in chapters() if path.stem != "06_your_images"]
NAMES = [path.stem for path in NOTEBOOKS]


@pytest.fixture(scope="module")
def reproduced():
    """The smoke profile, reproduced by the command of the README."""
    result = make("reproduce", "PROFILE=smoke")
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    return result


def test_reproduce_runs_everything(reproduced):
    for name in NAMES:
        executed = nbformat.read(SMOKE / "notebooks" / f"{name}.ipynb", as_version=4)
        outputs = [o for c in executed.cells if c.cell_type == "code" for o in c.outputs]
        assert not [o for o in outputs if o.output_type == "error"]
        assert any("image/png" in o.get("data", {}) for o in outputs), "no figure is shown"
    assert (SMOKE / "index.html").exists()
    assert re.search(r"done in \d+ s: open reports/smoke/index.html", reproduced.stdout)


def test_every_figure_is_there_with_what_made_it(reproduced):
    for row in thesis.figures().itertuples():
        for suffix in ("png", "svg", "json"):
            assert (SMOKE / "figures" / f"{row.figure}.{suffix}").stat().st_size > 200
        record = json.loads((SMOKE / "figures" / f"{row.figure}.json").read_text())
        assert record["notebook"] == row.notebook and record["commit"] and record["caption"]
        parts = set(row.made_from.split(";"))
        files = {part for part in parts if part.endswith(".csv")}
        assert files <= {Path(text.split()[0]).name for text in record["published"]}, row.figure
        own = bool(parts - files - {"model"})  # drawn cars, or runs that saw them
        assert record["demo"] is own and len(record["data_hash"]) == 64 * own, row.figure
    matrix = json.loads((SMOKE / "figures" / "fig34.json").read_text())
    drawn = [e["trial_id"] for e in read_grid(SMOKE) if e["group"] != "pretrained_frozen"]
    assert matrix["runs"] == sorted(drawn)


def test_unchanged_things_are_not_done_again(reproduced):
    """The grid is always asked, and touches nothing where nothing is new."""
    files = [SMOKE / name for name in ("grid.json", "profile.json", "index.html")]
    before = [path.stat().st_mtime_ns for path in files]
    result = make("reproduce", "PROFILE=smoke")
    assert result.returncode == 0 and "6 trials, 6 done, 0 to train" in result.stdout
    assert [path.stat().st_mtime_ns for path in files] == before
    assert not re.search(r"^\d\d_\w+: ", result.stdout, re.MULTILINE), "a notebook ran again"


@pytest.mark.parametrize("touched", ["02_augmentations", "03_train_pretrained"])
def test_only_a_changed_notebook_runs_again(reproduced, touched):
    path = ROOT / "notebooks" / f"{touched}.ipynb"
    before = path.stat()
    try:
        os.utime(path)
        # As if the grid had been asked, and nothing was new in it.
        grid, page = "reports/smoke/grid.json", "reports/smoke/index.html"
        result = make("-n", page, "PROFILE=smoke", "-o", grid)
    finally:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert set(re.findall(r"effnet\.report\.runner (\w+)", result.stdout)) == {touched}
    assert "effnet.grid" not in result.stdout


def test_a_changed_hyperparameter_trains_only_its_trials(reproduced, monkeypatch, capsys):
    from effnet.grid import train

    profile = Profile.load("smoke")
    changed = {
        "trial": {},
        "runs": {},
        "grid": {"dropout_rate": [0.0], "weight_decay": [0.01, 0.3]},
    }
    profile = replace(profile, groups=profile.groups | {"scratch_rgb": changed})
    trained = []

    def note(trial, runs, name, *args, **kwargs):
        trained.append(name)
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "run", note)
    with pytest.raises(KeyboardInterrupt):
        train.train_grid(profile)
    assert trained == ["scratch_rgb p=0 wd=0.3"]
    assert "6 trials, 5 done, 1 to train" in capsys.readouterr().out


@pytest.mark.parametrize("folder", [".", "notebooks"])
def test_papermill_with_other_values(reproduced, folder, tmp_path):
    """From the root and from notebooks/, with hyperparameters that the cell does not list too: that
    trial is trained, once, and shown. Without the chapters on all runs."""
    source, output = tmp_path / "in.ipynb", tmp_path / "out.ipynb"
    notebook = nbformat.read(NOTEBOOKS[3], as_version=4)
    own = [i for i, cell in enumerate(notebook.cells) if '"run_03"' in cell.source]
    notebook.cells = notebook.cells[: own[0] + 1]
    nbformat.write(notebook, source)
    figure = SMOKE / "figures" / "fig20.json"
    before = figure.read_bytes()
    values = "dropout_rate=0.45,epochs=1,lr_factor=0.2,threads=2"
    shown = SMOKE / "custom" / values / "figures/run_03.png"
    shown.unlink(missing_ok=True)
    result = command(
        "papermill", str(source), str(output), "-p", "profile", "smoke", "-p", "dropout_rate",
        "0.45", "-p", "epochs", "1", "-p", "more", "{lr_factor: 0.2, threads: 2}",
        cwd=ROOT / folder,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-2000:]
    text = output.read_text()
    assert values in text
    assert figure.read_bytes() == before, "an override must not change the profile's figures"
    assert shown.exists()


def test_another_image_folder_trains_with_one_parameter(reproduced, tmp_path):
    """Class folders without a split: the README's example, on drawn cars."""
    from effnet.datasets.layouts import read_annotations

    drawn = ROOT / "data" / "demo_smoke"
    for row in read_annotations(drawn).itertuples():
        target = tmp_path / "birds" / f"kind {row.class_id}" / Path(row.path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(drawn / row.path, target.with_stem(f"{row.split}-{target.stem}"))
    values = f"-p data_dir {tmp_path / 'birds'} -p recipe corrected -p epochs 1"
    result = make("run", "NB=04", "PROFILE=smoke", f"ARGS={values}")
    assert result.returncode == 0, result.stderr[-2000:]
    executed = ROOT / re.search(r"04_train_scratch: \d+ s, (.+)", result.stdout).group(1)
    text = executed.read_text()
    assert '"output_type": "error"' not in text
    # Its run and figures are in a folder of the images' name, not among the profile's.
    assert executed.is_relative_to(REPORTS / "birds")
    runs = [json.loads(p.read_text()) for p in (REPORTS / "birds").glob("runs/*/trial.json")]
    shutil.rmtree(REPORTS / "birds")
    assert [r["trial"]["validation"] for r in runs] == ["holdout"]


def broken_notebook(path, cell):
    """A chapter of its parameters and one cell."""
    broken = nbformat.read(NOTEBOOKS[2], as_version=4)
    broken.cells[2:] = [nbformat.v4.new_code_cell(cell)]
    nbformat.write(broken, path)


def test_a_failing_notebook_says_where_and_how_to_go_on(reproduced):
    path = ROOT / "notebooks" / "99_broken.ipynb"
    try:
        broken_notebook(path, "print('so far')\n1 / 0")
        with pytest.raises(EffnetError) as error:
            runner.run_notebook("99", "smoke", image_size=64)
    finally:
        path.unlink()
    for word in ("99_broken.ipynb", "cell", "ZeroDivisionError", "make run NB=99 PROFILE=smoke"):
        assert word in str(error.value)
    kept = next(SMOKE.glob("custom/*/notebooks/99_broken.failed.ipynb"))
    assert "so far" in kept.read_text()
    kept.unlink()


def test_a_failing_notebook_does_not_stop_the_page(reproduced, monkeypatch, capsys):
    source, target = ROOT / "notebooks" / "99_broken.ipynb", SMOKE / "notebooks" / "99_broken.ipynb"
    words = ["effnet.report.runner", "99", "--profile", "smoke", "--go-on"]
    monkeypatch.setattr(sys, "argv", words)
    try:
        broken_notebook(source, "1 / 0")
        nbformat.write(nbformat.v4.new_notebook(), target)  # as if it had worked before
        runner.main()
        assert "ZeroDivisionError" in capsys.readouterr().err
        assert not target.exists()
        assert make("report", "PROFILE=smoke").returncode == 0
        page = (SMOKE / "index.html").read_text().split("Failed notebooks")[1]
        assert "99_broken" in page and "ZeroDivisionError: division by zero" in page
        assert report.main(["--check", str(SMOKE)]) == 1
        assert "notebook 99_broken failed" in capsys.readouterr().err
    finally:
        source.unlink()
        target.with_suffix(".failed.ipynb").unlink(missing_ok=True)
        report.main([str(SMOKE)])


@pytest.mark.parametrize("name", ["", "../effnet", "demo smoke", "%", "$(HOME)", "nobody"])
@pytest.mark.parametrize("target", ["clean", "reproduce", "du"])
def test_an_unknown_profile_is_refused_before_anything_is_made(target, name):
    """Here, for in this folder nobody else makes anything by now."""
    before = sorted(REPORTS.iterdir()) if REPORTS.exists() else []
    result = make(target, f"PROFILE={name}")
    assert result.returncode == 2 and result.stdout == ""
    assert (
        f"profile is '{name}': allowed are controlled, demo, laptop, sample, smoke,"
        in result.stderr
    )
    assert before == (sorted(REPORTS.iterdir()) if REPORTS.exists() else [])
