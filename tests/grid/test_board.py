"""What one sees of a grid on a cluster, and what a trial takes of it."""

import io
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("ray")
import ray
from rich.console import Console

from effnet.errors import EffnetError
from effnet.grid import board, node, tasks
from effnet.grid.__main__ import main
from effnet.grid.board import Board, Display, Row
from effnet.grid.profiles import Job
from effnet.trial import Trial


@pytest.fixture
def display(capsys):
    """Three trials: one is finished, one trains, one waits."""
    display = Display({n: Row(f"seed {n}", 10, images=100) for n in (1, 2, 3)})
    told = Board()
    told.begin(1, "a-1234")
    told.tell(1, done=10, val_acc=0.5, speed=50.0, note="")
    told.tell(1, state="finished", note="")
    told.begin(2, "b-5678")
    told.tell(2, done=4, val_acc=0.25, speed=50.0, note="")
    for number, values in told.news():
        display.tell(number, values)
    assert told.news() == []
    return display


def test_lines_in_a_log(display, capsys):
    assert not display.live, "no terminal here"
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "trial 1 seed 1  begins  on a-1234",
        "trial 1 seed 1  epoch 10/10  val acc 0.500  50 images/s  on a-1234",
        "trial 1 seed 1  finished",
        "trial 2 seed 2  begins  on b-5678",
        "trial 2 seed 2  epoch 4/10  val acc 0.250  50 images/s  on b-5678",
    ]
    display.tell(2, {"state": "running", "node": "c-9", "begun": 2, "speed": None})
    display.tell(2, {"done": 4, "images": 100})
    display.tell(2, {"state": "failed", "note": "the loss became nan"})
    assert capsys.readouterr().out.splitlines() == [
        "trial 2 seed 2  is taken up again  on c-9",
        "trial 2 seed 2  goes on after epoch 4/10",
        "trial 2 seed 2  failed  the loss became nan",
    ]
    assert display.summary().startswith("1 done, 0 running, 1 waiting, 1 not trained, 0:00:0")
    display.refresh()
    display.refresh()
    assert len(capsys.readouterr().out.splitlines()) == 1, "once a minute"


def test_the_time_that_is_left(display):
    assert display.left() == (6 * 100 + 10 * 100) / 50  # one trains, and trains the other after it
    display.rows[3] = Row("seed 3", 10, 100, "running", done=5, speed=150.0)
    assert display.left() == (600 + 500) / 200
    assert Display({1: Row("seed 1", 10, 100)}).left() is None


def test_the_table_in_a_terminal(display, monkeypatch):
    def shown():
        console = Console(file=io.StringIO(), width=100)
        console.print(display.table())
        return console.file.getvalue()

    text = shown()
    assert "1 done, 1 running, 1 waiting" in text and "at most about 0:00:32 left" in text
    for word in ("trial", "node", "epoch", "val acc", "images/s", "state"):
        assert word in text
    row = next(line for line in text.splitlines() if "seed 2" in line)
    assert row.replace("│", " ").split() == "seed 2 b-5678 4/10 0.250 50 running".split()
    monkeypatch.setattr(board, "SHOWN", 0)
    assert "and 1 more" in shown()


def test_a_share_that_no_node_has(monkeypatch, capsys):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    nodes = [{"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}}, {"Alive": False}]
    monkeypatch.setattr(ray, "nodes", lambda: nodes)
    trial = Trial(threads=2)
    assert tasks.share(trial) == {"num_cpus": 2, "num_gpus": 1}
    monkeypatch.setenv("TRIALS_PER_GPU", "4")
    monkeypatch.setenv("CPUS_PER_TRIAL", "3")
    assert tasks.share(trial) == {"num_cpus": 3, "num_gpus": 0.25}
    monkeypatch.setenv("CPUS_PER_TRIAL", "5")
    with pytest.raises(EffnetError, match="5 CPUs and 0.25 GPUs, and no node has more than 4 CPUs"):
        tasks.share(trial)
    monkeypatch.setenv("RAY_ADDRESS", "somewhere:6379")
    nodes[0]["Resources"] = {"CPU": 5.0}
    assert tasks.share(trial) == {"num_cpus": 5, "num_gpus": 0.25}, "never on a CPU instead"
    assert "no node has more than 5 CPUs and 0 GPUs: waiting" in capsys.readouterr().out
    monkeypatch.setenv("CPUS_PER_TRIAL", "some")
    with pytest.raises(EffnetError, match="CPUS_PER_TRIAL is 'some': it must be a whole number"):
        tasks.share(trial)


def test_without_ray_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    with pytest.raises(EffnetError, match="ENGINE=ray needs .*`make env EXTRAS=cluster`"):
        tasks.require_ray()


def test_what_one_engine_alone_takes(monkeypatch):
    monkeypatch.setattr("sys.argv", ["grid", "smoke", "--engine", "ray", "--jobs", "2"])
    with pytest.raises(EffnetError, match="--jobs is for ENGINE=local"):
        main()


def test_a_node_with_other_code_or_images_is_refused(tmp_path):
    trial = Trial(data_dir="data/demo_smoke", image_size=32, epochs=1, recipe="thesis")
    order = node.Order(
        number=1, job=Job("one", "scratch_rgb", trial), trial_id="0" * 12, code_hash="other",
        profile="own", runs=tmp_path, storage=None, data_url=None,
    )  # fmt: skip

    def train(order):
        return node._train(order, None, Path(tmp_path), lambda **values: False)

    with pytest.raises(EffnetError, match=r"has other training code \(.*than the driver \(other\)"):
        train(order)
    with pytest.raises(EffnetError, match="has other images than the driver's"):
        train(replace(order, code_hash=node.identity.code_hash()))
    assert not list(tmp_path.iterdir())
