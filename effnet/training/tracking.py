"""Where the rows of a run go: metrics.csv always, other trackers on request.

Neptune's hosted service closed in 2026 and Lightning removed its logger for it, so the source of
truth is local and plain. Every tracker gets the same row once per epoch.
"""

import os
from pathlib import Path
from typing import Any

import pandas as pd
from pytorch_lightning.loggers import CSVLogger, Logger
from pytorch_lightning.utilities import rank_zero_only

from effnet.errors import EffnetError
from effnet.files import atomic_write
from effnet.trial import check_tracker


class EpochLogger(CSVLogger):
    """Lightning's CSVLogger with one row per epoch, written whole.

    Lightning's own writer deletes the file of an interrupted run and appends without a rename.
    This one keeps the rows (the resume checkpoint carries them) and replaces the file each epoch.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(save_dir=folder, name="", version="")
        self.rows: list[dict[str, float]] = []

    @property
    def experiment(self) -> "EpochLogger":
        return self

    @rank_zero_only
    def log_hyperparams(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        """Nothing to do: trial.json holds every hyperparameter."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        self.rows.append(metrics)
        self.save()

    @rank_zero_only
    def save(self) -> None:
        if self.rows:
            with atomic_write(Path(self.save_dir) / "metrics.csv") as temporary:
                pd.DataFrame(self.rows).to_csv(temporary, index=False)


class NeptuneLogger(Logger):
    """The namespaces that the thesis used on Neptune, through `neptune-client`.

    Offline by default: the run is written below `folder/.neptune/offline`, where `neptune sync`
    finds it. People who host Neptune themselves set NEPTUNE_MODE, NEPTUNE_PROJECT and
    NEPTUNE_API_TOKEN, which only neptune-client reads.
    """

    def __init__(self, folder: Path, run_name: str) -> None:
        super().__init__()
        try:
            import neptune
        except ImportError as error:
            raise EffnetError(
                "tracker='neptune' needs the package neptune-client, which is not installed: "
                "install it, or use tracker='none' (metrics.csv is written in any case)."
            ) from error
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

    name = "neptune"
    version = ""

    @rank_zero_only
    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.run["parameters"] = {k: "None" if v is None else v for k, v in params.items()}

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        for key, value in metrics.items():
            self.run[f"metrics/{key}"].append(value, step=step)

    def upload(self, path: Path) -> None:
        """One artefact of the finished run (predictions, model)."""
        self.run[f"artifacts/{path.stem}"].upload(str(path))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        if status != "success":  # a finished run still uploads its files, then closes
            self.close()

    def close(self) -> None:
        """Flush everything and end the Neptune run."""
        self.run.stop()


def make_tracker(tracker: str, folder: Path, run_name: str) -> Logger | None:
    """The additional logger called `tracker` for the run in `folder`; None for "none".

    Raises EffnetError for an unknown tracker or one whose package is missing.
    """
    check_tracker(tracker)
    if tracker == "none":
        return None
    if tracker == "neptune":
        return NeptuneLogger(folder, run_name)
    try:
        if tracker == "tensorboard":
            from pytorch_lightning.loggers import TensorBoardLogger

            return TensorBoardLogger(save_dir=folder, name="tensorboard", version="")
        from pytorch_lightning.loggers import MLFlowLogger

        return MLFlowLogger(run_name=run_name, tracking_uri=f"file:{folder / 'mlflow'}")
    except ImportError as error:
        raise EffnetError(
            f"tracker={tracker!r} needs the package {tracker}, which is not installed: install "
            "it, or use tracker='none' (metrics.csv is written in any case)."
        ) from error
