"""A trial of any kind that was killed goes on after its last whole epoch, to the same bytes."""

import io
from unittest import mock

import pandas as pd
import pytest
import torch
from small_trials import THIN, KillLater, contents

from effnet.model import build_model
from effnet.train import TrialInterrupted, run
from effnet.training import checkpoints
from effnet.training.checkpoints import save_checkpoint
from effnet.training.module import Classifier
from effnet.training.status import read_status
from effnet.trial import Trial

KINDS = {
    "effnet": THIN,
    "torchvision": {"model_name": "torchvision:shufflenet_v2_x0_5", "batch_norm_momentum": None},
    "timm": {"model_name": "timm:test_resnet", "batch_norm_momentum": None},
    "bf16": THIN | {"precision": "bf16-mixed"},
    "compiled": THIN | {"compile": True},
    "one channel": THIN | {"in_channels": 1},
    "frozen": THIN | {"freeze_pretrained_weights": True, "optimizer": "adam"},
    "holdout": THIN | {"validation": "holdout", "holdout": 0.3, "predict_with": "best"},
    "elsewhere": THIN,
}


@pytest.fixture
def kind(request, small, tmp_path):
    """A trial of a kind; "elsewhere" believes that it is not on a CPU."""
    values = small | KINDS[request.param]
    if request.param == "frozen":
        torch.manual_seed(0)
        weights = build_model("b0", num_classes=4, padding="symmetric", **THIN).state_dict()
        torch.save(weights, tmp_path / "weights.pth")
        values["weights"] = str(tmp_path / "weights.pth")
    evaluator, compile_model = Classifier.evaluator, torch.nn.Module.compile

    def not_on_a_cpu(self):
        with mock.patch.object(Classifier, "device", torch.device("meta")):
            return evaluator(self)

    def quickly(self, *_args, **_options):  # what torch.compile generates matters nothing here
        compile_model(self, backend="eager")

    with mock.patch.object(torch.nn.Module, "compile", quickly):
        if request.param == "elsewhere":
            with mock.patch.object(Classifier, "evaluator", not_on_a_cpu):
                yield Trial.make(values)
        else:
            yield Trial.make(values)


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_every_kind_of_trial_resumes(kind, tmp_path):
    whole = run(kind, tmp_path / "whole")
    for epoch in (1, 2):
        with pytest.raises(TrialInterrupted):
            run(kind, tmp_path / "killed", callbacks=[KillLater(epoch)])
    state = checkpoints.load_checkpoint(next(tmp_path.glob("killed/*/last.ckpt")))["state_dict"]
    assert {name.partition(".")[0] for name in state} <= {"model", "augment"}, "the model, once"
    killed = run(kind, tmp_path / "killed")
    assert contents(killed) == contents(whole)
    assert len(pd.read_csv(killed / "metrics.csv")) == 3
    assert read_status(killed)["state"] == "finished"
    assert not (killed / "last.ckpt").exists(), "it goes once the run is whole"
    torch.testing.assert_close(
        checkpoints.best_weights(killed), checkpoints.best_weights(whole), rtol=0, atol=0
    )


@pytest.mark.parametrize("twice", [True, False], ids=["model twice", "model once"])
def test_checkpoints_of_earlier_versions_are_read(small, tmp_path, twice):
    """They say nothing of who wrote them, and may hold the network a second time."""
    trial = Trial.make(small | THIN)
    whole = run(trial, tmp_path / "whole")
    with pytest.raises(TrialInterrupted):
        run(trial, tmp_path / "killed", callbacks=[KillLater(2)])
    last = tmp_path / "killed" / whole.name / "last.ckpt"
    state = torch.load(last, weights_only=True)
    del state["callbacks"]["RunCheckpoint"]["made_by"]
    if twice:
        model = [name for name in state["state_dict"] if name.startswith("model.")]
        for name in model:
            twin = name.replace("model.", "_evaluate.", 1)
            state["state_dict"][twin] = state["state_dict"][name]
    torch.save(state, last)
    assert contents(run(trial, tmp_path / "killed")) == contents(whole)


def test_the_machine_s_threads_do_not_matter_and_the_trial_s_do(small, tmp_path):
    folders = []
    own = torch.get_num_threads()
    for name, machine, threads in (("a", 1, 1), ("b", 2, 1), ("c", 2, 2), ("d", 1, 2)):
        torch.set_num_threads(machine)
        trial = Trial.make(small | THIN | {"epochs": 1, "threads": threads})
        folders.append(run(trial, tmp_path / name))
        assert torch.get_num_threads() == machine
    torch.set_num_threads(own)
    one, one_again, two, two_again = folders
    assert one.name == one_again.name != two.name == two_again.name
    assert contents(one) == contents(one_again)
    assert contents(two) == contents(two_again)
    assert contents(one) != contents(two), "the trial is too small to show what threads do"


def test_another_trial_s_checkpoint_is_refused(small, tmp_path, capsys):
    mine, other = Trial.make(small | THIN), Trial.make(small | THIN | {"weight_decay": 0.3})
    for trial in (mine, other):
        with pytest.raises(TrialInterrupted):
            run(trial, tmp_path, callbacks=[KillLater(2)])
    records = {path.parent.name: path for path in tmp_path.glob("*/last.ckpt")}
    a, b = records.values()
    b.write_bytes(a.read_bytes())
    capsys.readouterr()
    for trial in (mine, other):
        run(trial, tmp_path)
    told = capsys.readouterr().out
    assert f"is of trial {a.parent.name}, not of {b.parent.name}" in told
    assert (b.parent / "last.ckpt.damaged").exists() and not (
        a.parent / "last.ckpt.damaged"
    ).exists()
    alone = run(Trial.make(small | THIN | {"weight_decay": 0.3}), tmp_path / "alone")
    assert contents(tmp_path / alone.name) == contents(alone)


def test_another_version_is_named(small, tmp_path, capsys, monkeypatch):
    trial = Trial.make(small | THIN)
    environment = checkpoints.identity.environment()
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.identity, "environment", lambda: environment | {"torch": "1.2"})
        with pytest.raises(TrialInterrupted):
            run(trial, tmp_path, callbacks=[KillLater(2)])
    run(trial, tmp_path)
    assert f"began with torch 1.2, now {environment['torch']}" in capsys.readouterr().out


class Interrupted(io.FileIO):
    """A file in whose third write Ctrl-C comes."""

    calls = 0

    def write(self, data):
        self.calls += 1
        if self.calls == 3:
            raise KeyboardInterrupt
        return super().write(data)


def test_ctrl_c_while_torch_writes_is_ctrl_c(tmp_path, monkeypatch):
    """Torch's writer, closed in the middle of a part, complains of that instead."""
    path = tmp_path / "last.ckpt"
    save_checkpoint({"weights": torch.ones(100)}, path)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "open", Interrupted, raising=False)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint({"weights": torch.zeros(100_000)}, path)
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_an_epoch_counts_once_it_is_written(small, tmp_path, monkeypatch):
    """Ctrl-C while the second epoch's last.ckpt is written: one is said to be done, and is."""
    save = checkpoints.save_checkpoint

    def interrupted(state, path):
        if path.name == "last.ckpt" and state["epoch"] == 1:
            raise KeyboardInterrupt
        save(state, path)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_checkpoint", interrupted)
        with pytest.raises(TrialInterrupted, match="after 1 of"):
            run(Trial.make(small | {"epochs": 3}), tmp_path)
    (folder,) = tmp_path.iterdir()
    status = read_status(folder)
    assert (status["state"], status["epochs_done"]) == ("interrupted", 1)
    assert contents(run(Trial.make(small | {"epochs": 3}), tmp_path))
