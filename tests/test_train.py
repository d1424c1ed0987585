"""Training as people meet it: finished, killed, interrupted, failed, resumed, tracked."""

import json
import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import pytorch_lightning as pl
import torch
from forks import Forks
from small_trials import contents

from effnet import train
from effnet.demo.folder import make_demo
from effnet.errors import EffnetError
from effnet.model import build_model
from effnet.runs import load_runs, metrics, prediction_matrix, predictions
from effnet.train import TrialInterrupted, run
from effnet.training import artifacts, identity
from effnet.training.module import NonFiniteLoss
from effnet.training.status import read_status
from effnet.trial import Trial

pytestmark = pytest.mark.usefixtures("freed_at_once")
# Every part of B0, of which ten blocks are left: these tests are about runs, not about networks.
NARROW = {"width_coefficient": 0.3, "depth_coefficient": 0.35}
SMALL = {
    **NARROW,
    "recipe": "thesis",
    "image_size": 32,
    "batch_size": 10,
    "epochs": 6,
    "batch_norm_momentum": 0.1,
    # Hardly anything counts as an improvement: the scheduler has a state worth resuming.
    "lr_patience": 0,
    "lr_threshold": 0.9,
    "lr_factor": 0.5,
    "early_stopping_patience": 3,
}

# Kills itself, as `kill -9` would, before a step of an epoch; -1 is validation.
KILLED_AT = """
import os, signal, sys
import pytorch_lightning as pl
from effnet.train import run
from effnet.trial import Trial

class Kill(pl.Callback):
    def on_train_batch_start(self, trainer, module, batch, step):
        self.at(trainer, step)
    def on_validation_batch_start(self, trainer, module, batch, step):
        self.at(trainer, -1)
    def at(self, trainer, step):
        if [trainer.current_epoch, step] == list(map(int, sys.argv[3:])):
            os.kill(os.getpid(), signal.SIGKILL)

run(Trial.make(eval(sys.argv[1])), sys.argv[2], "killed", callbacks=[Kill()])
"""


@pytest.fixture(scope="module")
def forks():
    forks = Forks("effnet.train", "effnet.runs", "effnet.grid.train")
    yield forks
    forks.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Values of a trial of seconds, on drawn cars."""
    data = make_demo(tmp_path_factory.mktemp("data") / "smoke", size="smoke")
    return SMALL | {"data_dir": str(data)}


@pytest.fixture(scope="module")
def finished(small, tmp_path_factory):
    """A whole run of six epochs."""
    return run(Trial.make(small), tmp_path_factory.mktemp("finished"))


def test_a_killed_run_ends_with_the_numbers_of_an_uninterrupted_one(
    small, finished, forks, tmp_path
):
    program = (KILLED_AT, repr(small), str(tmp_path / "runs"))
    for epoch, step in [(0, 2), (1, 3), (2, -1)]:
        at = (str(epoch), str(step))
        assert forks.run(*program, *at, output=tmp_path / "said") == -signal.SIGKILL
        folder = next((tmp_path / "runs").iterdir())
        status = read_status(folder)  # the file says "running", and nobody runs
        assert status["state"] == "interrupted" and "is gone" in status["message"]
        assert status["epochs_done"] == epoch
        assert not (folder / "summary.json").exists()
    assert forks.run(*program, output=tmp_path / "said") == 0
    assert folder.name == finished.name
    assert contents(folder) == contents(finished)
    assert read_status(folder)["state"] == "finished"
    best = [torch.load(f / "best.ckpt", weights_only=True) for f in (folder, finished)]
    assert best[0]["epoch"] == best[1]["epoch"]
    for name, tensor in best[0]["state_dict"].items():
        assert torch.equal(tensor, best[1]["state_dict"][name]), name
    assert not list(folder.glob(".*-*")), "a temporary file was left behind"


def test_killed_between_the_last_epoch_and_the_predictions(small, finished, tmp_path, monkeypatch):
    def die(*_args):
        raise MemoryError("no room for predictions")

    with monkeypatch.context() as patch:
        patch.setattr(artifacts, "write", die)
        with pytest.raises(MemoryError):
            run(Trial.make(small), tmp_path)
    folder = next(tmp_path.iterdir())
    assert read_status(folder)["state"] == "failed"
    rows = (folder / "metrics.csv").read_bytes()
    run(Trial.make(small), tmp_path)
    assert (folder / "metrics.csv").read_bytes() == rows, "an epoch was trained again"
    assert contents(folder) == contents(finished)


def test_a_finished_run_is_reused(small, finished, monkeypatch):
    monkeypatch.setattr(train, "_train", lambda *_: pytest.fail("trained again"))
    assert run(Trial.make(small), finished.parent) == finished


def test_what_a_run_leaves(small, finished):
    record = json.loads((finished / "trial.json").read_text())
    assert record["trial"]["lr_factor"] == 0.5 and record["data_hash"]
    assert record["environment"]["torch"] == torch.__version__.split("+")[0]
    rows = metrics(finished)
    assert list(rows["epoch"]) == list(range(len(rows)))
    names = ["loss", "acc", "top1", "top3", "top5", "top10", "acc_batch_mean", "loss_batch_mean"]
    assert {f"{s}_{n}" for s in ("train", "val") for n in names} | {"lr", "seconds"} <= set(rows)
    assert (rows["val_top3"] >= rows["val_acc"]).all() and (rows["val_top10"] == 1).all()
    with pytest.raises(EffnetError, match="is no report"):  # runs lie in reports/<profile>/runs
        load_runs(finished.parent)
    for split in ("train", "val"):
        table = predictions(finished, split)
        assert table["probability"].between(0.2, 1).all()  # four classes: the best has 1/4
        summary = json.loads((finished / "summary.json").read_text())["final"][split]
        assert summary["top1"] == pytest.approx(table["correct"].mean())
    # predict_with="last": the last epoch's validation accuracy is that of the predictions
    assert predictions(finished)["correct"].mean() == pytest.approx(rows["val_acc"].iloc[-1])
    assert rows["lr"].min() < rows["lr"].max(), "the scheduler never stepped"


def test_the_means_over_batches_and_samples(finished):
    """val_acc_batch_mean is the unweighted mean of batch accuracies: recompute it."""
    table = predictions(finished)
    batches = [table["correct"][i : i + 10].mean() for i in range(0, len(table), 10)]
    last = metrics(finished).iloc[-1]
    assert last["val_acc_batch_mean"] == pytest.approx(sum(batches) / len(batches))
    assert last["val_acc_batch_mean"] != last["val_acc"]  # 24 images: the last batch has 4


def test_best_checkpoint_loads_into_the_model(finished):
    best = torch.load(finished / "best.ckpt", weights_only=True)
    model = build_model("b0", num_classes=4, padding="symmetric", **NARROW)
    model.load_state_dict(best["state_dict"])
    rows = metrics(finished)
    assert best["epoch"] == rows["val_loss_batch_mean"].idxmin()


# Slowly, so that the signal comes in the middle. A shell's background job, and what it starts,
# ignores Ctrl-C: here as in a terminal.
STOPPED = """
import signal, sys, time
import pytorch_lightning as pl
from effnet.errors import command_line
from effnet.train import run
from effnet.trial import Trial

class Slow(pl.Callback):
    def on_train_batch_start(self, *_):
        time.sleep(0.1)

signal.signal(signal.SIGINT, signal.default_int_handler)
trial = Trial.make(eval(sys.argv[1]))
command_line(lambda: print(run(trial, sys.argv[2], "mine", callbacks=[Slow()])))
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_says_where_it_stopped_and_how_to_go_on(small, finished, forks, tmp_path, sent):
    runs, said = tmp_path / "runs", tmp_path / "said"
    stopped = forks.start(STOPPED, repr(small), str(runs), output=said)
    end = time.monotonic() + 300
    while not list(runs.glob("*/metrics.csv")):
        assert time.monotonic() < end, Path(f"{said}.error").read_text()
        time.sleep(0.02)
    os.kill(stopped, sent)
    assert forks.wait(stopped) == 1
    error = Path(f"{said}.error").read_text()
    assert "Traceback" not in error
    assert "mine stopped by a signal after" in error and "run the same cell or" in error
    folder = next(runs.iterdir())
    assert read_status(folder)["state"] == "interrupted"
    run(Trial.make(small), runs)
    assert contents(folder) == contents(finished)


class Interrupt(pl.Callback):
    def on_train_epoch_end(self, trainer, pl_module):
        raise KeyboardInterrupt


def test_ctrl_c_works_a_second_time_in_one_process(small, tmp_path):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # as above
    try:
        for _ in range(2):
            with pytest.raises(TrialInterrupted, match=r"after \d of 6 epochs"):
                run(Trial.make(small | {"seed": 5}), tmp_path, callbacks=[Interrupt()])
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_loss_that_is_not_finite_fails_the_trial(small, tmp_path):
    class Poison(pl.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                pl_module.model._fc.bias.data.fill_(float("nan"))

    with pytest.raises(NonFiniteLoss) as error:
        run(Trial.make(small), tmp_path, "poisoned", callbacks=[Poison()])
    for word in ("trial poisoned", "nan", "epoch 1", "learning rate"):
        assert word in str(error.value)
    folder = next(tmp_path.iterdir())
    assert read_status(folder)["state"] == "failed"
    assert "nan" in read_status(folder)["message"]


def test_pretrained_weights_freeze_and_predict_with_best(small, finished, tmp_path):
    values = small | {
        "weights": str(finished / "best.ckpt"),
        "freeze_pretrained_weights": True,
        "predict_with": "best",
        "validation": "holdout",
        "holdout": 0.3,
        "epochs": 2,
    }
    folder = run(Trial.make(values), tmp_path / "runs")
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["trainable_parameters"] == 384 * 4 + 4
    assert set(summary["final"]) == {"train", "val", "test"}
    start = torch.load(finished / "best.ckpt", weights_only=True)["state_dict"]
    end = torch.load(folder / "best.ckpt", weights_only=True)["state_dict"]
    assert torch.equal(start["_conv_head.weight"], end["_conv_head.weight"])
    assert not torch.equal(start["_bn1.running_mean"], end["_bn1.running_mean"])
    assert not torch.equal(start["_fc.weight"], end["_fc.weight"])
    runs = load_runs(tmp_path)
    assert runs.loc[0, "group"] == "pretrained_frozen"
    assert len(prediction_matrix(runs)) == len(predictions(folder, "val"))


@pytest.mark.parametrize(
    "changes",
    [
        {"model_name": "torchvision:shufflenet_v2_x0_5"},
        {"model_name": "timm:ghostnet_100"},
        {"recipe": "corrected", "holdout": 0.3, "crop": "box", "crop_margin": 0.1},
        {"width_coefficient": 0.5, "depth_coefficient": 0.5, "in_channels": 1},
    ],
    ids=["torchvision", "timm", "corrected, cropped", "narrow and gray"],
)
def test_other_models_and_choices_train_through_the_same_trial(small, tmp_path, changes):
    folder = run(Trial.make(changes, base=small | {"epochs": 1}), tmp_path / "runs")
    row = load_runs(tmp_path).iloc[0]
    assert row["state"] == "finished" and row["max_val_acc"] > 0
    # Only the corrected recipe looks at the test split apart from validation, once.
    assert pd.notna(row["test_acc"]) == (changes.get("recipe") == "corrected")
    if "crop" in changes:
        assert 0 < row["test_acc"] <= 1
        assert len(predictions(folder, "val")) < len(predictions(folder, "test"))


def test_training_code_is_part_of_a_run_s_identity(small, finished, monkeypatch, tmp_path):
    monkeypatch.setattr(identity, "code_hash", lambda: "other code")
    folder = run(Trial.make(small | {"epochs": 1}), tmp_path)
    monkeypatch.undo()
    assert run(Trial.make(small | {"epochs": 1}), tmp_path) != folder


def test_batches_that_batch_norm_cannot_train_on_are_refused(small, tmp_path):
    with pytest.raises(EffnetError, match="last batch of 49 training images holds one"):
        run(Trial.make(small | {"batch_size": 8}), tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_jupyter_or_tracker_is_imported_for_training(forks, tmp_path):
    code = (
        "import sys; print([m for m in ('IPython', 'papermill', 'neptune', 'nbformat', "
        "'jupyter_core', 'tensorboard', 'mlflow', 'wandb', 'jinja2', 'timm') if m in sys.modules])"
    )
    assert forks.run(code, output=tmp_path / "said") == 0
    assert (tmp_path / "said").read_text() == "[]\n"
