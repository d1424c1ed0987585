"""Where the rows of a run go: metrics.csv always; `trackers` tells others on request.

Neptune's hosted service closed in 2026 and Lightning removed its logger for it, so the source of
truth is local and plain.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.utilities import rank_zero_only

from effnet.files import atomic_write


class EpochLogger(CSVLogger):
    """Lightning's CSVLogger with one row per epoch, written whole.

    Lightning's own writer deletes the file of an interrupted run and appends without a rename.
    This one keeps the rows (the resume checkpoint carries them) and replaces the file each epoch.
    Every process of a run has the rows, the first one writes them. `whole` of them are in
    last.ckpt: that many epochs are done, whatever comes.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(save_dir=folder, name="", version="")
        self.rows: list[dict[str, float]] = []
        self.whole = 0

    @property
    def experiment(self) -> "EpochLogger":
        return self

    @rank_zero_only
    def log_hyperparams(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        """Nothing to do: trial.json holds every hyperparameter."""

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        self.rows.append(metrics)
        self.save()

    @rank_zero_only
    def save(self) -> None:
        if self.rows:
            with atomic_write(Path(self.save_dir) / "metrics.csv") as temporary:
                pd.DataFrame(self.rows).to_csv(temporary, index=False)
