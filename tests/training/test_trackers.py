"""What other trackers are told of a run, read back from what each of them wrote."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytorch_lightning.loggers import Logger
from small_trials import THIN, KillLater, contents

from effnet import trial as trial_module
from effnet.errors import EffnetError
from effnet.runs import metrics
from effnet.train import TrialInterrupted, run
from effnet.training import trackers
from effnet.trial import TRACKERS, Trial

pytestmark = pytest.mark.usefixtures("freed_at_once")
SECRET = "a-token-that-must-not-appear"


@pytest.fixture
def trial(small):
    return Trial.make(small | THIN | {"epochs": 2})


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """As on a machine where nobody has set anything."""
    for name in [n for n in os.environ if n.startswith(("NEPTUNE_", "MLFLOW_", "WANDB_"))]:
        monkeypatch.delenv(name)


def tensorboard(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    hyperparameters = (folder / "tensorboard" / "hparams.yaml").read_text()
    return [event.value for event in events.Scalars("val_loss")], hyperparameters


def neptune(folder):
    (log,) = folder.glob(".neptune/offline/*/data-*.log")
    text, logged = log.read_text(), []
    for line in text.splitlines():
        operation = json.loads(line)["obj"]
        if operation["path"] == ["metrics", "val_loss"]:
            logged += [entry["value"] for entry in operation["values"]]
    assert '"artifacts", "predictions_val"' in text and '"artifacts", "best"' in text
    return logged, text


def mlflow(folder):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder.parent / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("effnet")
    (told,) = client.search_runs([experiment.experiment_id])
    assert (told.info.run_name, told.info.status) == ("tracked", "FINISHED")
    history = client.get_metric_history(told.info.run_id, "val_loss")
    return [point.value for point in sorted(history, key=lambda p: p.step)], told.data.params


def wandb(folder):
    """Its format is its own; names and numbers stand in it as text."""
    (file,) = folder.glob("wandb/offline-run-*/*.wandb")
    content = file.read_bytes().decode("latin-1")
    return [v for v in metrics(folder)["val_loss"] if repr(float(v))[:15] in content], content


READ = {"tensorboard": tensorboard, "neptune": neptune, "mlflow": mlflow, "wandb": wandb}
KINDS = [
    pytest.param(
        kind,
        marks=pytest.mark.skipif(
            any(importlib.util.find_spec(name) is None for name in TRACKERS[kind]),
            reason=f"needs the extra {kind}",
        ),
    )
    for kind in READ
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_tracker_gets_every_epoch_and_the_hyperparameters(
    kind, trial, tmp_path, monkeypatch, capsys
):
    """While the run is trained, and again later, when it is finished: once each."""
    monkeypatch.setenv("NEPTUNE_API_TOKEN", SECRET)
    here = sorted(Path.cwd().iterdir())
    folder = run(trial, tmp_path / "told", "tracked", tracker=kind)
    logged, hyperparameters = READ[kind](folder)
    assert logged == pytest.approx(list(metrics(folder)["val_loss"])) and len(logged) == 2
    assert "dropout_rate" in hyperparameters and "initial_lr" in hyperparameters
    everything = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert SECRET.encode() not in everything
    capsys.readouterr()
    run(trial, tmp_path / "told", tracker=kind)
    assert f"tracker {kind!r} has had trial tracked since 20" in capsys.readouterr().out
    assert READ[kind](folder)[0] == logged

    later = run(trial, tmp_path / "later", "tracked")
    before = contents(later)
    run(trial, tmp_path / "later", tracker=kind)
    assert "its 2 epochs were sent to tracker" in capsys.readouterr().out
    assert READ[kind](later)[0] == pytest.approx(logged)
    assert READ[kind](later)[1] and contents(later) == before == contents(folder)
    assert sorted(Path.cwd().iterdir()) == here, "nothing is written where one happens to stand"


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_goes_on_is_told_whole(kind, trial, tmp_path):
    with pytest.raises(TrialInterrupted):
        run(trial, tmp_path, "tracked", tracker=kind, callbacks=[KillLater(1)])
    folder = run(trial, tmp_path, "tracked", tracker=kind)
    logged, hyperparameters = READ[kind](folder)
    assert sorted(set(logged)) == pytest.approx(sorted(metrics(folder)["val_loss"]))
    assert "dropout_rate" in hyperparameters


class Breaking(Logger):
    """A service that goes away after so many calls."""

    name = version = "breaking"

    def __init__(self, calls):
        super().__init__()
        self.left = calls

    def call(self, *arguments, **options):
        self.left -= 1
        if self.left < 0:
            raise ConnectionError("\x1b[95m\nthe service\nis gone")

    log_hyperparams = log_metrics = finalize = call


@pytest.mark.parametrize("calls", range(4))
def test_a_service_that_breaks_ends_no_training(calls, trial, tmp_path, monkeypatch, capsys):
    """At any of its four calls: the run is finished, and the next call sends all of it."""
    monkeypatch.setitem(trackers._MAKE, "tensorboard", lambda *_: Breaking(calls))
    folder = run(trial, tmp_path / "told", "tracked", tracker="tensorboard")
    said = capsys.readouterr().out
    assert said.count("left out from here on (ConnectionError: the service is gone). Noth") == 1
    assert contents(folder) == contents(run(trial, tmp_path / "alone"))
    monkeypatch.undo()
    run(trial, tmp_path / "told", tracker="tensorboard")
    assert "its 2 epochs were sent" in capsys.readouterr().out
    assert len(tensorboard(folder)[0]) == 2


def test_a_service_that_is_not_there_ends_no_training(trial, tmp_path, monkeypatch, capsys):
    def refuse(*_):
        raise TimeoutError

    monkeypatch.setitem(trackers._MAKE, "neptune", refuse)
    folder = run(trial, tmp_path, tracker="neptune")
    run(trial, tmp_path, tracker="neptune")
    assert capsys.readouterr().out.count("(TimeoutError: )") == 2
    assert len(metrics(folder)) == 2 and not list(folder.glob(".sent-*"))


def test_an_unknown_tracker_is_refused(trial, tmp_path):
    with pytest.raises(EffnetError, match="'comet': allowed are none, tensorboard, neptune, mlfl"):
        run(trial, tmp_path, tracker="comet")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named_before_anything_is_read(trial, tmp_path, monkeypatch):
    """A folder of its name, as wandb makes one where it writes, is not the package."""
    monkeypatch.setitem(trial_module.TRACKERS, "wandb", ("not_installed_here",))
    monkeypatch.syspath_prepend(tmp_path)
    for _ in range(2):
        with pytest.raises(EffnetError, match=r"package not_installed_here.*pip install.*\[wandb"):
            run(trial.replace(data_dir="nowhere"), tmp_path / "runs", tracker="wandb")
        (tmp_path / "not_installed_here").mkdir(exist_ok=True)
        importlib.invalidate_caches()


def test_neptune_s_own_command_works():
    """It asks for pkg_resources, which setuptools had until version 81."""
    command = [sys.executable, "-c", "from neptune.cli.__main__ import main; main()", "sync"]
    result = subprocess.run([*command, "--help"], capture_output=True, text=True)
    assert result.returncode == 0 and "Synchronizes objects" in result.stdout, result.stderr
