"""status.json tells the truth while a run is trained, and what belongs to the run."""

import os
import platform
import time

import pytest
import pytorch_lightning as pl
from small_trials import THIN

from effnet.files import digest, read_sealed
from effnet.train import run
from effnet.training import status
from effnet.training.status import Status, read_status
from effnet.trial import Trial


class Watch(pl.Callback):
    """What the file says in the middle of every epoch."""

    def __init__(self, runs):
        self.runs, self.seen = runs, []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 2:
            self.seen.append(read_status(next(self.runs.iterdir())))


def test_while_it_trains_it_says_who_and_how_far(small, tmp_path):
    watch = Watch(tmp_path)
    folder = run(Trial.make(small | THIN), tmp_path, callbacks=[watch])
    assert [seen["epochs_done"] for seen in watch.seen] == [0, 1, 2]
    for seen in watch.seen:
        assert seen["state"] == "running" and seen["epochs"] == 3
        assert (seen["pid"], seen["host"]) == (os.getpid(), platform.node())
    last = read_status(folder)
    names = {"trial.json", "metrics.csv", "summary.json", "best.ckpt"}
    assert set(last["outputs"]) == names | {"predictions_train.csv", "predictions_val.csv"}
    for name, known in last["outputs"].items():
        assert known == {"bytes": (folder / name).stat().st_size, "sha256": digest(folder / name)}


def test_it_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(status, "BEAT", 0.05)
    writer = Status(tmp_path, 9)
    writer.write("running", 4)
    first = read_sealed(tmp_path / "status.json")
    with writer.beating():
        time.sleep(0.5)
    later = read_sealed(tmp_path / "status.json")
    assert later["updated"] > first["updated"] and later["seconds"] > first["seconds"]
    same = ("state", "epochs_done", "epochs", "pid")
    assert [later[name] for name in same] == [first[name] for name in same]


@pytest.mark.parametrize("side", [32, 64])
def test_batches_of_one(small, tmp_path, side):
    values = small | THIN | {"batch_size": 1, "image_size": side, "epochs": 1}
    if side == 64:
        assert read_status(run(Trial.make(values), tmp_path))["state"] == "finished"
        return
    with pytest.raises(ValueError, match="batch_size is 1: .* batch norm cannot train on one"):
        run(Trial.make(values), tmp_path)
