"""One run on several processes: as on one, killed or not, on one machine or on two."""

import json
import os
import re
import signal
import socket
import time
from pathlib import Path
from types import SimpleNamespace

import own_checkout
import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from campaign import ONLY_CAMPAIGN
from forks import Forks
from small_trials import THIN, contents

from effnet.errors import EffnetError
from effnet.grid.train import default_jobs
from effnet.train import TrialInterrupted, data_module, make_classifier, run
from effnet.training import artifacts, checkpoints, identity, module
from effnet.training.children import FOLLOW, LOST, Child, ProcessEnded
from effnet.training.module import NonFiniteLoss
from effnet.training.sharing import own
from effnet.training.status import read_status
from effnet.trial import Trial

TWO = THIN | {"devices": 2}
# Without batch norm, which sees a process's own images, and dropout, which no two processes share.
# A small, smooth network: Adam makes a step of its full rate out of a gradient that only rounds.
ALIKE = {
    "model_name": "timm:test_convnext", "batch_norm_momentum": None, "image_size": 64, "epochs": 2,
    "initial_lr": 1e-4,
}  # fmt: skip
MARK = f"STARTED_BY_TEST={os.getpid()}"


def followers() -> set[int]:
    """Processes that this file's runs have started, here or in commands."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            known = FOLLOW.encode() in (path / "cmdline").read_bytes()
            if known and MARK.encode() in (path / "environ").read_bytes():
                found.add(int(path.name))
        except OSError:  # gone meanwhile, or another user's
            pass
    return found


@pytest.fixture(autouse=True)
def nobody_stays(monkeypatch):
    monkeypatch.setenv(*MARK.split("="))
    yield
    end = time.monotonic() + 10
    while followers() and time.monotonic() < end:
        time.sleep(0.05)
    assert not followers(), "a process outlives its run"


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory):
    """An uninterrupted run on two processes."""
    return run(Trial.make(small | TWO), tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"batch_size": 10}, marks=ONLY_CAMPAIGN),  # 49 images: the last batch has nine
        {"batch_size": 12},  # 49 images: the last batch has one
        # Validation has one image; with this seed the first epoch is the best.
        {"validation": "holdout", "holdout": 0.04, "predict_with": "best", "seed": 1},
    ],
    ids=["uneven last batch", "one image in the last batch", "one validation image"],
)
def test_two_processes_train_what_one_trains(small, tmp_path, changes):
    values = small | ALIKE | changes
    one, two = (run(Trial.make(values | {"devices": n}), tmp_path) for n in (1, 2))
    rows = [pd.read_csv(folder / "metrics.csv").drop(columns="seconds") for folder in (one, two)]
    pd.testing.assert_frame_equal(*rows, rtol=0, atol=1e-5)
    names = sorted(path.name for path in one.glob("predictions_*.csv"))
    assert len(names) == (3 if "holdout" in changes else 2)
    for name in names:
        tables = [pd.read_csv(folder / name) for folder in (one, two)]
        pd.testing.assert_frame_equal(*tables, rtol=0, atol=1e-5)
    weights = [checkpoints.best_weights(folder) for folder in (one, two)]
    torch.testing.assert_close(*weights, rtol=0, atol=1e-5)
    best = json.loads((two / "summary.json").read_text())["best_epoch"]
    assert best == 0 or "seed" not in changes, "the best epoch's weights are the last one's"


@pytest.mark.parametrize("processes, batch_size", [(2, 10), (2, 12), (3, 12), (6, 12)])
def test_shares_are_one_process_s_batches_image_by_image(small, monkeypatch, processes, batch_size):
    """With the same draws. Who has nothing of a small batch takes all of it, and weighs it 0."""
    trial = Trial.make(small | THIN | {"devices": processes, "batch_size": batch_size})
    data = data_module(trial)
    data.setup()
    monkeypatch.setattr(module, "total", lambda loss, share: loss)  # nobody else is there

    def seen(share):
        classifier = make_classifier(trial, 4, None)
        data.share = classifier.share = share
        loader = data.train_dataloader()
        loader.sampler.set_epoch(1)
        classifier._trainer = SimpleNamespace(train_dataloader=loader, current_epoch=1)
        steps = []

        def step(*batch):
            steps.append(batch)
            return torch.ones(())

        classifier._train_step = step
        weights = []
        for index, batch in enumerate(loader):
            classifier.on_train_batch_start(batch, index)
            weights.append(classifier.training_step(batch, index).item())
        return steps, weights, torch.rand(()).item()

    (whole, _, noise), *shares = [seen((r, n)) for n in (1, processes) for r in range(n)]
    assert len(whole) == -(-49 // batch_size)
    for index, batch in enumerate(whole):
        for rank, (steps, weights, _) in enumerate(shares):
            mine = own(len(batch[0]), (rank, processes))
            assert weights[index] == pytest.approx(mine * processes / len(batch[0]))
            for all_of_it, part in zip(batch, steps[index], strict=True):
                assert torch.equal(part, all_of_it[rank::processes] if mine else all_of_it)
    noises = [noise for _, _, noise in shares]
    assert noises[0] == noise and len(set(noises)) == processes, "dropout is alike in two processes"


class At(pl.Callback):
    """Sends a signal to this process, or to one that it started, before a step of an epoch."""

    def __init__(self, epoch, step, number, child=False):
        self.when, self.number, self.child = (epoch, step), number, child

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if (trainer.current_epoch, batch_idx) == self.when:
            os.kill(followers().pop() if self.child else os.getpid(), self.number)


def test_stopped_and_gone_on_with_the_same_numbers(small, whole, tmp_path, monkeypatch):
    trial = Trial.make(small | TWO)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # not so in the background
    try:
        for epoch, number in ((1, signal.SIGINT), (2, signal.SIGTERM)):
            with pytest.raises(TrialInterrupted, match=f"after {epoch} of 3 epochs"):
                run(trial, tmp_path, callbacks=[At(epoch, 1, number)])
    finally:
        signal.signal(signal.SIGINT, before)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    with pytest.raises(ProcessEnded, match=r"process 1 of 2 ended \(killed by SIGKILL\)"):
        run(trial, tmp_path, callbacks=[At(2, 2, signal.SIGKILL, child=True)])
    status = read_status(tmp_path / whole.name)
    assert (status["state"], status["epochs_done"], status["system"]) == ("failed", 2, True)
    # Killed between the last epoch and the predictions, too.
    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "write", lambda *_: (_ for _ in ()).throw(MemoryError))
        with pytest.raises(MemoryError):
            run(trial, tmp_path)
    rows = (tmp_path / whole.name / "metrics.csv").read_bytes()
    assert contents(run(trial, tmp_path)) == contents(whole)
    assert (tmp_path / whole.name / "metrics.csv").read_bytes() == rows
    weights = [checkpoints.best_weights(folder) for folder in (tmp_path / whole.name, whole)]
    torch.testing.assert_close(*weights, rtol=0, atol=0)


# Runs trials one after another; kills itself before a step of an epoch; says what it writes.
# As in a notebook, where Lightning starts no processes.
COMMAND = """
import os, signal, sys
import pytorch_lightning as pl
from effnet.train import run
from effnet.trial import Trial

class Kill(pl.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if [str(trainer.current_epoch), str(batch_idx)] == sys.argv[3:]:
            os.kill(os.getpid(), signal.SIGKILL)

def note(event, arguments):
    writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & 3
    if writes or event in ("os.mkdir", "os.rename", "os.remove"):
        if str(arguments[0]).startswith(sys.argv[2]):
            print("wrote", arguments[0])

sys.addaudithook(note)
for values in eval(sys.argv[1]):
    print("made", run(Trial.make(values), sys.argv[2], callbacks=[Kill()]))
"""


@pytest.fixture(scope="module")
def forks():
    forks = Forks("effnet.train", interactive=True)
    yield forks
    forks.close()


def start(forks, trials, folder, *at, **variables):
    """Its process, and the file of what it prints; it trains below `folder`/runs."""
    said = folder / f"said-{variables.get('NODE_RANK', 0)}"
    arguments = (repr(trials), str(folder / "runs"), *at)
    variables |= dict([MARK.split("=")])
    return forks.start(COMMAND, *arguments, output=said, **variables), said


def test_killed_in_the_middle(small, whole, forks, tmp_path):
    killed, _ = start(forks, [small | TWO], tmp_path, "1", "2")
    assert forks.wait(killed) == -signal.SIGKILL
    status = read_status(tmp_path / "runs" / whole.name)
    assert (status["state"], status["epochs_done"]) == ("interrupted", 1)
    assert contents(run(Trial.make(small | TWO), tmp_path / "runs")) == contents(whole)


def test_a_process_whose_starter_is_gone_before_they_met_ends(small, tmp_path):
    place = (0, 1, "127.0.0.1", 9)  # where nobody answers: it would try for half an hour
    told = {"trial": Trial.make(small | TWO).values(), "runs": str(tmp_path), "place": place}
    child = Child(1, told | {"cache_dir": None, "checkpoint": None})
    child.process.stdin.close()
    assert child.process.wait(120) == LOST


def test_two_nodes(small, whole, forks, tmp_path, monkeypatch):
    """Two commands on this machine, for two runs: process 0 writes, both give the folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    trials = [small | THIN | {"num_nodes": 2, "epochs": epochs} for epochs in (3, 1)]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    nodes = [start(forks, trials, tmp_path, NODE_RANK=node, **place) for node in ("0", "1")]
    codes = [forks.wait(process) for process, _ in nodes]
    said = [file.read_text() for _, file in nodes]
    errors = [Path(f"{file}.error").read_text() for _, file in nodes]
    assert (codes, errors) == ([0, 0], ["", ""]), said
    made = [re.findall("^made (.*)$", output, re.M) for output in said]
    assert made[0] == made[1] and len(made[0]) == 2
    assert "wrote" in said[0] and "wrote" not in said[1]
    assert contents(Path(made[0][0])) == contents(whole)
    for name, value in (place | {"NODE_RANK": "1"}).items():
        monkeypatch.setenv(name, value)
    late = [str(run(Trial.make(values), tmp_path / "runs")) for values in trials]
    assert late == made[0], "of finished runs a node needs no other"


def test_the_grid_trains_two_trials_on_two_processes_each(tmp_path):
    runs = {f"seed {seed}": {"seed": seed, "epochs": 2} for seed in (0, 1)}
    checkout = own_checkout.make_checkout(tmp_path, scratch_rgb={"trial": TWO, "runs": runs})
    code, output = own_checkout.command(checkout, "effnet.grid", "own", "--jobs", "2")
    assert code == 0, output
    entries = json.loads((checkout / "reports/own/grid.json").read_text())["runs"]
    assert [entry["state"] for entry in entries] == ["finished", "finished"]


def test_the_grid_counts_processes(small):
    jobs = [SimpleNamespace(trial=Trial.make(small | {"devices": 5}))]
    assert default_jobs(SimpleNamespace(jobs=jobs)) == max(1, identity.cores() // 5)


# Python runs this first in the processes that a run starts.
POISON = f"""
import sys
if sys.orig_argv[-1] == {FOLLOW!r}:
    from effnet.training.module import Classifier
    loss = Classifier._loss

    def poisoned(self, *batch):
        return loss(self, *batch) * (float("nan") if self.current_epoch == 1 else 1)

    Classifier._loss = poisoned
"""


def test_a_loss_that_is_not_finite_in_one_process_ends_all(small, tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text(POISON)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)
    with pytest.raises(NonFiniteLoss, match="trial poisoned: the loss became nan in step 0"):
        run(Trial.make(small | TWO), tmp_path / "runs", "poisoned")
    status = read_status(next((tmp_path / "runs").iterdir()))
    assert (status["state"], status["epochs_done"], status["system"]) == ("failed", 1, False)


def test_a_process_that_cannot_begin_says_why(small, tmp_path, monkeypatch):
    """Here it finds other code than the caller's process, as after a change of a file."""
    monkeypatch.setattr(identity, "code_hash", lambda: "older")
    with pytest.raises(ProcessEnded, match="process 1 of 2 ended .process 1 would train"):
        run(Trial.make(small | TWO), tmp_path)


def test_a_caller_s_callback_may_stop_the_training(small, whole, tmp_path):
    class Stop(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.should_stop = True

    folder = run(Trial.make(small | TWO), tmp_path, callbacks=[Stop()])
    assert read_status(folder)["epochs_done"] == 1
    first = [pd.read_csv(f / "metrics.csv", dtype=str).iloc[0, :-1] for f in (folder, whole)]
    assert first[0].equals(first[1])


@pytest.mark.parametrize(
    "values, message",
    [
        ({"devices": 4}, "batch_size is 10.*4 devices x 1 nodes.*multiple of 4"),
        ({"num_nodes": 3, "devices": 2}, "2 devices x 3 nodes.*multiple of 6"),
        ({"devices": 2, "cuda_graphs": True}, "cuda_graphs is True and the run has 2 processes"),
        ({"devices": 0}, "devices is 0: allowed is from 1"),
        ({"strategy": "fsdp"}, "strategy is 'fsdp': allowed are 'auto', 'ddp', "),
    ],
)
def test_trials_that_no_processes_can_train(small, values, message):
    with pytest.raises(EffnetError, match=message):
        Trial.make(small | values)


@pytest.mark.parametrize(
    "values, variables, message",
    [
        ({"sync_batchnorm": True}, {}, "sync_batchnorm is True, but no CUDA GPU is here"),
        ({"num_nodes": 2}, {}, "MASTER_ADDR is not set, MASTER_PORT is not set, NODE_RANK is not"),
        ({"num_nodes": 2}, {"NODE_RANK": "2"}, r"NODE_RANK \(0 to 1\). Here .*NODE_RANK is 2"),
        ({"num_nodes": 2}, {"MASTER_PORT": "http"}, "MASTER_PORT is http"),
        ({"devices": 2, "batch_size": 6}, {}, "last batch of 49 training images leaves one"),
    ],
)
def test_runs_that_cannot_begin_here(small, tmp_path, monkeypatch, values, variables, message):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    if variables:
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "NODE_RANK": "0"} | variables
        for name, value in place.items():
            monkeypatch.setenv(name, value)
    with pytest.raises(EffnetError, match=message):
        run(Trial.make(small | values), tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_more_devices_than_gpus(small, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(EffnetError, match="devices is 2: this machine has 1 GPUs"):
        run(Trial.make(small | TWO), tmp_path)
