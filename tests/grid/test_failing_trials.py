"""A trial that fails costs itself alone: the others are trained, and one sees what happened."""

import json
import os
import signal
import time

import pytest
import torch
from forks import Forks
from own_checkout import make_checkout
from small_trials import THIN

from effnet.model import build_model
from effnet.runs import load_runs, read_grid
from effnet.training.status import read_status


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """Six trials, of which one has broken weights, one asks for too many classes, one is slow."""
    folder = tmp_path_factory.mktemp("checkout")
    state = build_model("b0", num_classes=4, padding="symmetric", **THIN).state_dict()
    state["_blocks.3._bn1.weight"][0] = float("nan")
    torch.save(state, folder / "broken.pth")
    runs = {
        "broken": {"weights": str(folder / "broken.pth")},
        "slow": {"epochs": 12},
        "too many": {"n_classes": 400},
        "good": {},
        "other": {"dropout_rate": 0.5},
    }
    return make_checkout(folder, scratch_rgb={"trial": THIN | {"epochs": 1}, "runs": runs})


def states(checkout):
    entries = json.loads((checkout / "reports/own/grid.json").read_text())["runs"]
    return {entry["name"]: entry for entry in entries}


def wait_for(found, seconds=180):
    deadline = time.monotonic() + seconds
    while not (result := found()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return result


COMMAND = "import runpy, sys; runpy.run_module(sys.argv.pop(1), run_name='__main__')"


@pytest.fixture(scope="module")
def forks(checkout):
    forks = Forks("effnet.grid.train", checkout=checkout)
    yield forks
    forks.close()


@pytest.fixture(scope="module")
def trained(checkout, forks):
    """The whole grid in two processes, of which one is killed while it trains "slow"."""
    reports = checkout / "reports/own"
    grid = forks.start(COMMAND, "effnet.grid", "own", "--jobs", "2", output=checkout / "said")

    def slow():
        for path in reports.glob("runs/*/trial.json"):
            if json.loads(path.read_text())["name"] == "slow":
                status = read_status(path.parent)
                return status if status.get("epochs_done") else None

    os.kill(wait_for(slow)["pid"], signal.SIGKILL)
    return forks.wait(grid), said(checkout)


def said(checkout):
    return "".join((checkout / name).read_text() for name in ("said", "said.error"))


def command(checkout, forks, module, *arguments):
    """Exit code and output of `python -m ...` in the checkout."""
    code = forks.run(COMMAND, module, "own", *arguments, output=checkout / "said")
    return code, said(checkout)


def test_the_others_are_trained(checkout, trained):
    code, output = trained
    found = states(checkout)
    assert code == 1
    assert {name: entry["state"] for name, entry in found.items()} == {
        "broken": "failed", "slow": "failed", "too many": "failed",
        "good": "finished", "other": "finished",
    }, output  # fmt: skip
    assert "Traceback" not in output and "stopped by a signal" not in output


def test_the_failures_are_listed_at_the_end_with_their_reasons(checkout, trained):
    _, output = trained
    found = states(checkout)
    tail = output[output.index("3 of 5 trials are not trained") :]
    assert "n_classes is 400" in found["too many"]["message"]
    assert "SIGKILL" in found["slow"]["message"]
    assert "_blocks.3._bn1.weight" in found["broken"]["message"]
    assert "initial_lr" not in found["broken"]["message"], "the learning rate has no part in it"
    for entry in found.values():
        assert entry["message"] in tail
    assert "RETRY=failed" in tail


def test_readers_show_what_is_there(checkout, trained):
    reports = checkout / "reports/own"
    runs = load_runs(reports)
    assert sorted(runs.query("state == 'finished'")["name"]) == ["good", "other"]
    assert set(runs.query("state == 'failed'")["name"]) == {"broken", "slow"}
    without = [entry["name"] for entry in read_grid(reports) if not entry["trial_id"]]
    assert without == ["too many"]


def test_what_the_machine_did_is_tried_again_and_what_a_trial_did_only_on_request(
    checkout, trained, forks
):
    reports = checkout / "reports/own"
    before = (reports / "grid.json").stat().st_mtime_ns
    code, output = command(checkout, forks, "effnet.grid", "--go-on")
    assert code == 0, "make goes on to the notebooks"
    assert "slow: resuming after epoch" in output and "broken" not in output.partition("2 of 5")[0]
    assert states(checkout)["slow"]["state"] == "finished"
    assert (reports / "grid.json").stat().st_mtime_ns > before

    before = (reports / "grid.json").stat().st_mtime_ns
    code, output = command(checkout, forks, "effnet.grid", "--retry", "failed")
    assert code == 1 and "trial broken failed" in output
    assert (reports / "grid.json").stat().st_mtime_ns == before, "nothing is new in it"
    code, output = command(checkout, forks, "effnet.grid.outcome")
    assert code == 1 and "2 of 5 trials are not trained" in output
