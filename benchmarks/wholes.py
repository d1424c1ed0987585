"""What a user waits for: the first step, a notebook, `make reproduce`; and fast settings' worth."""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from effnet.datasets.layouts import open_dataset
from effnet.paths import ROOT

# Short side of a photograph, in pixels, about as Stanford Cars has them.
PHOTOGRAPH = 480

FIRST_STEP = """
import time
start = time.perf_counter()
import os, sys
import effnet
import pytorch_lightning as pl
class First(pl.Callback):
    def on_train_batch_end(self, *_):
        print(time.perf_counter() - start, flush=True)
        os._exit(0)
data, runs = sys.argv[1:]
trial = effnet.Trial(data_dir=data, recipe="thesis", image_size=64, n_classes=14)
effnet.run(trial, runs=runs, callbacks=[First()])
"""

RUN_ONLY = """
import sys
from effnet import run
from effnet.grid.profiles import Profile
profile = Profile.load("smoke")
run(profile.trial("pretrained", {"seed": int(sys.argv[1])}), profile.reports / "runs")
"""


@contextmanager
def enlarged(data: str, classes: int | None, images: int) -> Iterator[Path]:
    """Up to `images` of each split, enlarged to PHOTOGRAPH pixels, as class folders."""
    found = open_dataset(Path(data))
    rows = found.annotations
    rows = rows[rows["class_id"] < classes] if classes else rows
    with tempfile.TemporaryDirectory() as folder:
        drawn = rows.sample(frac=1, random_state=0).groupby("split").head(images)
        for row in drawn.itertuples():
            target = Path(folder) / row.split / f"{row.class_id:03d}" / f"{row.Index}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(found.root / row.path) as image:
                factor = PHOTOGRAPH / min(image.size)
                size = [round(side * factor) for side in image.size]
                image.convert("RGB").resize(size, Image.Resampling.BICUBIC).save(target, quality=90)
        yield Path(folder)


def startup(workload: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Seconds from `import effnet` to the end of the first training step, images cached."""
    seconds = []
    for _ in range(repeats + 1):  # the first one makes the cache
        with tempfile.TemporaryDirectory() as runs:
            command = [sys.executable, "-c", FIRST_STEP, workload["data"], runs]
            output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            seconds.append(float(output.splitlines()[-1]))
    return {"first_step": statistics.median(seconds[1:]), "values": seconds[1:]}


def notebook_overhead(repeats: int) -> dict[str, Any]:
    """Seconds of notebook 03 over those of its run alone, both in a fresh process."""
    rows: dict[str, list[float]] = {"notebook": [], "run": []}
    with copy() as folder:
        reproduced = [*_make(), "reproduce", "PROFILE=smoke"]
        subprocess.run(reproduced, cwd=folder, env=environment(folder), check=True)
        for repeat in range(repeats):
            notebook = ["-m", "effnet.report.runner", "03", "--profile", "smoke", "-p", "seed"]
            for name, command in (
                ("notebook", [*notebook, str(100 + repeat)]),
                ("run", ["-c", RUN_ONLY, str(200 + repeat)]),
            ):
                began = time.perf_counter()
                whole = [sys.executable, *command]
                subprocess.run(whole, cwd=folder, env=environment(folder), check=True)
                rows[name].append(time.perf_counter() - began)
    medians = {name: statistics.median(values) for name, values in rows.items()}
    return medians | {"overhead": medians["notebook"] - medians["run"], "values": rows}


def reproduce() -> dict[str, Any]:
    """`make reproduce` of the demo in a fresh copy, environment there: seconds of each stage.

    Notebooks run two at a time, so their seconds add up to more than they take.
    """
    with copy() as folder:
        command = [*_make(), "reproduce"]
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, text=True
        )
        marks: dict[str, float] = {}
        notebooks: dict[str, float] = {}
        for line in process.stdout:
            now = time.perf_counter() - began
            if match := re.match(r"profile demo: .* (to train|trials ready)", line):
                marks[match[1]] = now
            elif match := re.match(r"(\d\d_\w+): (\d+) s", line):
                notebooks[match[1]], marks["notebooks"] = float(match[2]), now
        if process.wait():
            sys.exit("error: make reproduce failed (its message is above)")
        total = time.perf_counter() - began
    stages = {
        "demo data and pretraining": marks["to train"],
        "runs": marks["trials ready"] - marks["to train"],
        "notebooks": marks["notebooks"] - marks["trials ready"],
        "report": total - marks["notebooks"],
    }
    return {"total": total, "stages": stages, "notebooks": notebooks}


def accuracy(seeds: int = 5) -> dict[str, Any]:
    """The same trial in plain and in fast settings, over seeds: best validation accuracy.

    B0 from scratch on the demo's images, 8 epochs.
    """
    from effnet import Trial, load_runs, run
    from effnet.demo.folder import make_demo
    from effnet.verdicts.execution import execution_table

    plain = {"channels_last": False, "fused": False}
    fast: dict[str, Any] = {}
    if torch.cuda.is_available():
        fast = {"precision": "bf16-mixed", "compile": True, "cuda_graphs": True}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            for settings in (plain, fast):
                trial = Trial(
                    recipe="thesis",
                    data_dir=str(make_demo()),
                    image_size=64,
                    batch_size=16,
                    epochs=8,
                    batch_norm_momentum=0.1,
                    seed=seed,
                    **settings,
                )
                run(trial, Path(folder) / "runs")
        table = execution_table(load_runs(folder))
    return {"rows": table.to_dict("records")}


@contextmanager
def copy() -> Iterator[Path]:
    """The working tree without anything generated, in a temporary folder."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        for name in files.splitlines():
            if (ROOT / name).is_file():
                target = Path(folder) / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target)
        yield Path(folder)


def _make() -> list[str]:
    """`make` there, with this environment taken as ready."""
    return ["make", f"PY={sys.executable}", "READY=Makefile"]


def environment(folder: Path) -> dict[str, str]:
    """The copy's package instead of the installed one, for kernels too."""
    return os.environ | {"PYTHONPATH": str(folder)}
