"""A profile's images as its runs recorded them: for notebooks where the photographs are not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import pandas as pd

from effnet import thesis
from effnet.grid.profile_file import VARIABLES
from effnet.runs import predictions

NOTEBOOKS = ("03", "04", "05")  # what they draw comes from runs
ASKED_FOR = "EFFNET_FROM_RECORDS"


@contextmanager
def from_records() -> Iterator[None]:
    """Within it notebooks read records even where photographs are at hand, and train nothing."""
    before = dict(os.environ)
    os.environ[ASKED_FOR] = "1"
    for variable in VARIABLES:  # their folders would show in tables
        os.environ.pop(variable.removeprefix("$"), None)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Records:
    """What notebooks of runs ask of a data module, from the files of finished runs.

    Attributes:
        data_hash: of the images that the runs saw.
        code_hash: of the code that trained them.
        num_classes: how many classes they had.
        data_dir: where no file lies, so that pictures of images are tiles with their paths.
    """

    def __init__(self, runs: pd.DataFrame, is_cars: bool) -> None:
        self._runs, self._is_cars = runs, is_cars
        first = runs.iloc[0]
        self.data_hash: str = first["data_hash"]
        self.code_hash: str = first["code_hash"]
        self.data_dir = Path("not-at-hand")

    @cached_property
    def annotations(self) -> pd.DataFrame:
        """Columns `path`, `class_id`, `class_name` and `part`, a row for each image."""
        parts = {part: predictions(self._runs.iloc[0], part) for part in ("train", "val")}
        table = pd.concat(parts, names=["part"]).reset_index(level="part")
        names = thesis.class_names() if self._is_cars else None
        table["class_name"] = [names[i] if names else f"class {i}" for i in table["class_id"]]
        return table[["path", "class_id", "class_name", "part"]].reset_index(drop=True)

    @property
    def num_classes(self) -> int:
        return int(self.annotations["class_id"].max()) + 1

    def run(self, group: str | None, name: str | None) -> pd.Series | None:
        """The run of that name, else the first finished one of its group (None without one)."""
        runs = self._runs[self._runs["group"] == group]
        own = runs[runs["name"] == name]
        if own.empty:
            print(f"the profile's run {name} is not on record")
        return next((row for _, row in pd.concat([own, runs]).iterrows()), None)
