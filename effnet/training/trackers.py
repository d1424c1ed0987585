"""Others that are told of a run beside its folder: TensorBoard, Neptune, MLflow, Weights & Biases.

Each gets the hyperparameters and the row of every epoch, at once or when the run is long finished.
All write below the runs' folder unless their own environment variables say otherwise. Their
packages are imported only here, where one is asked for (`effnet.trial.check_tracker`).
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any

import pandas as pd
import pytorch_lightning as pl
from filelock import FileLock
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from effnet.files import read_sealed, write_text
from effnet.paths import relative
from effnet.training.status import now
from effnet.training.tracking import EpochLogger

LONGEST_WAIT = 30.0  # seconds for a service, at the start and at the end of a run


class NeptuneLogger(Logger):
    """The namespaces that the thesis used on Neptune, through `neptune-client`.

    Offline by default: the run is written below `folder/.neptune/offline`, where `neptune sync`
    finds it. People who host Neptune themselves set NEPTUNE_MODE, NEPTUNE_PROJECT and
    NEPTUNE_API_TOKEN, which only neptune-client reads.
    """

    name = "neptune"
    version = ""

    def __init__(self, folder: Path, run_name: str) -> None:
        super().__init__()
        import neptune

        _clear(folder / ".neptune" / "offline")
        mode: Any = os.environ.get("NEPTUNE_MODE", "offline")
        before = os.getcwd()
        os.chdir(folder)  # neptune writes .neptune into the working folder and takes no path
        try:
            self.run = neptune.init_run(
                mode=mode,
                project=os.environ.get("NEPTUNE_PROJECT", "effnet/effnet"),
                name=run_name,
                capture_stdout=False,
                capture_stderr=False,
                capture_traceback=False,
                capture_hardware_metrics=False,
                git_ref=False,
                source_files=[],
            )
        finally:
            os.chdir(before)

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.run["parameters"] = {k: "None" if v is None else v for k, v in params.items()}

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        for key, value in metrics.items():
            self.run[f"metrics/{key}"].append(value, step=step)

    def upload(self, path: Path) -> None:
        """One artefact of the finished run (predictions, model)."""
        self.run[f"artifacts/{path.stem}"].upload(str(path))

    def finalize(self, status: str) -> None:
        self.run.stop(seconds=LONGEST_WAIT)


def _tensorboard(folder: Path, run_name: str) -> Logger:
    _clear(folder / "tensorboard")
    return TensorBoardLogger(save_dir=folder, name="tensorboard", version="")


def _mlflow(folder: Path, run_name: str) -> Logger:
    """One SQLite file for all runs of a folder, unless MLFLOW_TRACKING_URI names a place.

    A trial that was told before goes on in its own run there.
    """
    # A server that is gone is tried for seconds, not for minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    from mlflow.tracking import MlflowClient

    given = os.environ.get("MLFLOW_TRACKING_URI")
    place = given or f"sqlite:///{folder.parent / 'mlflow.db'}"
    with FileLock(folder.parent / ".mlflow.lock"):  # two that make its tables would fail
        client = MlflowClient(place)
        experiment = client.get_experiment_by_name("effnet")
    own = f"tags.trial_id = '{folder.name}'"
    begun = client.search_runs([experiment.experiment_id], own) if experiment else []
    logger = MLFlowLogger(
        "effnet",
        run_name,
        tracking_uri=place,
        tags={"trial_id": folder.name},
        artifact_location=(folder.parent.parent / "mlruns").as_uri(),  # nothing is put there
        run_id=begun[0].info.run_id if begun else None,
    )
    _ = logger.experiment
    if not given:  # mlflow sets it for good, and the next run may be of another folder
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    return logger


def _wandb(folder: Path, run_name: str) -> Logger:
    """Offline unless WANDB_MODE says otherwise; `wandb sync` takes it from the run's folder."""
    import wandb

    _clear(folder / "wandb")
    logger = WandbLogger(
        name=run_name,
        save_dir=folder,
        id=folder.name,
        project=os.environ.get("WANDB_PROJECT", "effnet"),
        offline=os.environ.get("WANDB_MODE", "offline") == "offline",
        settings=wandb.Settings(
            console="off",
            disable_git=True,
            x_disable_stats=True,
            init_timeout=LONGEST_WAIT,
            finish_timeout=LONGEST_WAIT,
        ),
    )
    _ = logger.experiment  # begun here: a service that does not answer is known at once
    return logger


_MAKE: dict[str, Callable[[Path, str], Logger]] = {
    "tensorboard": _tensorboard,
    "neptune": NeptuneLogger,
    "mlflow": _mlflow,
    "wandb": _wandb,
}


def _clear(folder: Path) -> None:
    """A run that goes on is told anew, from its first epoch."""
    shutil.rmtree(folder, ignore_errors=True)


class Tracker(pl.Callback):
    """The tracker called `kind` for the run in `folder`; with "none" every call does nothing.

    What fails (a service that is down, a full disk) is said in a line, once, and ends the telling,
    never the training.
    """

    logger: Logger | None = None

    def __init__(self, kind: str, folder: Path, run_name: str) -> None:
        self.kind, self.folder = kind, folder
        if kind != "none":
            with self._guarded():
                self.logger = _MAKE[kind](folder, run_name)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever a service and its client can raise
            self.logger = None
            reason = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())  # without colours
            reason = f"{type(error).__name__}: {shorten(reason, 200)}"
            print(
                f"tracker {self.kind!r} is left out from here on ({reason}). Nothing is lost: "
                "metrics.csv has every epoch, and the same call, once the run is finished, sends "
                "them.",
                flush=True,
            )

    def begin(self, values: dict[str, Any], rows: Sequence[dict[str, Any]]) -> None:
        """The hyperparameters, and the epochs so far."""
        if self.logger is not None:
            with self._guarded():
                self.logger.log_hyperparams(values)
        for row in rows:
            self._row(row)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(trainer.logger, EpochLogger)
        self._row(trainer.logger.rows[-1])

    def _row(self, row: dict[str, Any]) -> None:
        if self.logger is not None:
            with self._guarded():
                self.logger.log_metrics(row, step=int(row["epoch"]))

    def end(self, finished: bool) -> bool:
        """Close it; True where it was told all of a finished run, which the folder notes."""
        logger, self.logger = self.logger, None
        if logger is None:
            return False
        with self._guarded():
            if finished and isinstance(logger, NeptuneLogger):
                files = [*sorted(self.folder.glob("predictions_*.csv")), self.folder / "best.ckpt"]
                for path in filter(Path.exists, files):
                    logger.upload(path)
            logger.finalize("success" if finished else "failed")
            if isinstance(logger, WandbLogger):  # Lightning leaves it open
                logger.experiment.finish(exit_code=0 if finished else 1)
            if finished:
                write_text(_note(self.folder, self.kind), now())
                return True
        return False


def _note(folder: Path, kind: str) -> Path:
    return folder / f".sent-{kind}"


def send(kind: str, folder: Path) -> None:
    """Tell a tracker of a run that was finished before, or say why not."""
    if kind == "none":
        return
    note, record = _note(folder, kind), read_sealed(folder / "trial.json")
    name = record["name"]
    if note.exists():
        print(f"tracker {kind!r} has had trial {name} since {note.read_text()}; remove "
              f"{relative(note)} to send it again", flush=True)  # fmt: skip
        return
    rows = pd.read_csv(folder / "metrics.csv").to_dict("records")
    tracker = Tracker(kind, folder, name)
    tracker.begin(record["trial"], rows)
    if tracker.end(finished=True):
        print(f"trial {name} was finished before: its {len(rows)} epochs were sent to tracker "
              f"{kind!r}", flush=True)  # fmt: skip
