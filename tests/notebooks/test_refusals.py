"""What is wrong with a notebook's parameters is said before anything is trained."""

import io
import sys

import nbformat
import pytest
import torch
from commands import command, make
from PIL import Image

from effnet.errors import EffnetError, command_line
from effnet.report import runner
from effnet.report.session import Session

NOTEBOOK = runner.find_notebook("03")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("-p droput_rate 0.3", ["'droput_rate'", "03_train_pretrained", "dropout_rate"]),
        ("-p epochs many", ["epochs is 'many'", "whole number"]),
        ("-p dropout_rate 1.5", ["dropout_rate is 1.5", "0.0 to 0.95"]),
        ("-p data_dir nowhere", ["nowhere"]),
        ("-p weights lost.pth", ["lost.pth", "no file"]),
        ("-p tracker comet", ["tracker", "comet"]),
        ("-p profile huge", ["profile is 'huge'", "demo"]),
    ],
)
def test_a_run_is_refused_before_a_kernel_starts(arguments, words, monkeypatch, capsys):
    """The command of `make run`, here without its start; the next test is with it."""
    words_of_make = ["03", "--profile", "smoke", *arguments.split()]
    monkeypatch.setattr(sys, "argv", ["effnet.report.runner", *words_of_make])
    monkeypatch.setattr("papermill.execute_notebook", lambda *_, **__: pytest.fail("went on"))
    with pytest.raises(SystemExit) as ended:
        command_line(runner.main)
    error = capsys.readouterr().err
    assert ended.value.code == 1 and error.startswith("error: ")
    for word in words:
        assert word in error


@pytest.mark.parametrize("kind", ["text", "empty", "cut", "foreign", "a folder", "missing"])
def test_bad_weights_are_refused_before_a_kernel_starts(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("papermill.execute_notebook", lambda *_, **__: pytest.fail("went on"))
    path = tmp_path / "weights.pth"
    torch.save({"other": torch.zeros(9)}, saved := io.BytesIO())
    foreign = saved.getvalue()
    content = {"text": b"weights", "empty": b"", "cut": foreign[:-99], "foreign": foreign}
    if kind in content:
        path.write_bytes(content[kind])
    elif kind == "a folder":
        path.mkdir()
    with pytest.raises(EffnetError, match=f"^weights is '{path}'"):
        runner.run_notebook("03", "smoke", weights=str(path))


def test_make_run_refuses_without_a_traceback():
    result = make("run", "NB=03", "PROFILE=smoke", "ARGS=-p droput_rate 0.3")
    assert result.returncode != 0
    assert "'droput_rate'" in result.stderr and "allowed are" in result.stderr
    assert "Traceback" not in result.stderr and "Kernel" not in result.stderr


def test_plain_papermill_refuses_in_the_second_cell(tmp_path):
    output = tmp_path / "out.ipynb"
    result = command(
        "papermill", str(NOTEBOOK), str(output), "-p", "profile", "smoke",
        "-p", "droput_rate", "0.3",
    )  # fmt: skip
    assert result.returncode != 0
    assert "'droput_rate'" in result.stderr and "allowed are" in result.stderr
    executed = nbformat.read(output, as_version=4)
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert all(cell.execution_count is None for cell in code[3:]), "it went on"


def test_a_session_refuses_a_value_out_of_range():
    """What the second cell does with the parameters that papermill gave the first."""
    parameters = nbformat.read(NOTEBOOK, as_version=4).cells[1].source
    namespace = {"In": [parameters, "# Parameters\nprofile = 'smoke'\ninitial_lr = -1\n"]}
    for cell in namespace["In"]:
        exec(cell, namespace)
    with pytest.raises(EffnetError, match="initial_lr is -1"):
        Session.open(namespace, "03_train_pretrained", group="pretrained")


def test_a_class_folder_without_images_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("papermill.execute_notebook", lambda *_, **__: pytest.fail("went on"))
    for name in ("Ant", "Bee"):
        for split in ("train", "test"):
            (tmp_path / split / name).mkdir(parents=True)
            if name == "Bee":
                Image.new("RGB", (40, 30)).save(tmp_path / split / name / "1.jpg")
    with pytest.raises(EffnetError, match="Ant"):
        runner.run_notebook("03", "smoke", data_dir=str(tmp_path))
