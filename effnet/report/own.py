"""Where results of a reader's own images go: a folder of reports that bears their name."""

import re
from pathlib import Path

import pandas as pd

from effnet.grid.profile_file import FOLDER
from effnet.paths import REPORTS
from effnet.runs import runs_below

OWN = "06"  # the notebook about them


def own_reports(images: Path) -> Path:
    """`reports/<name>` for the images at a path (or `torchvision:NAME`), no profile's folder."""
    name = images.name.rpartition(":")[2]
    name = re.sub(r"[^a-z0-9_.-]+", "-", name.lower()).strip("-.") or "images"
    taken = {path.stem for path in FOLDER.glob("*.yaml")}
    return REPORTS / (f"{name}-images" if name in taken else name)


def runs_of(reports: Path, data_hash: str) -> pd.DataFrame:
    """Finished runs there that saw these very images: others may have been called the same."""
    runs = runs_below(reports, states=("finished",))
    return runs[runs["data_hash"] == data_hash] if len(runs) else runs
