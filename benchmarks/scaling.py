"""Does the kit's cost grow linearly with images, with runs and with pixels (side squared)?

`python benchmarks/scaling.py` measures what the kit does at three sizes each, on the images in the
folder STANFORD_CARS (else on the demo's) and on made-up runs, and prints a table. Every point is a
fresh child process: this file with a job as JSON, one line of JSON back.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.fft  # noqa: F401 (check and reader import scipy late)
from scipy.io import savemat

from effnet.datasets.cache import fingerprint, pixels
from effnet.datasets.check import check
from effnet.datasets.facts import near_duplicates
from effnet.datasets.layouts import Dataset, open_dataset
from effnet.demo.folder import make_demo
from effnet.runs import load_runs, prediction_matrix

TESTS = str(
    Path(__file__).resolve().parent.parent / "tests" / "helpers"
)  # fake_runs writes run folders
IMAGES = 6000  # at most; half and a quarter of them too
THUMBNAILS = (8000, 16_000, 32_000)  # made up: the one part known to be quadratic, cheap to show
SIDES, SIDE_IMAGES = (64, 128, 256), 500
RUNS = (40, 80, 160)
RUN_IMAGES = (2000, 4000, 8000)  # in a predictions file; the official test split has 8,041
REPEATS, ENOUGH_SECONDS = 3, 1.5  # after a first call; fewer where calls are long
LEAST_MB = 5.0  # less is the allocator's own steps and has no shape


def measure() -> list[dict]:
    """A dict per point: what, axis ("images", "runs" or "pixels"), size, seconds, peak_mb.

    `size` counts images or runs, or is the side squared. `peak_mb` is the peak of memory above
    what the process had with its modules imported and its inputs opened.
    """
    with tempfile.TemporaryDirectory(prefix="effnet-scaling-") as scratch:
        points, known = [], {}
        for job in _jobs(Path(scratch)):
            point = {key: job.pop(key) for key in ("axis", "size")}
            name = json.dumps(job)  # 40 runs of 2,000 images are a point on two axes
            known[name] = known.get(name) or _in_child(job)
            points.append({"what": job["what"], **point, **known[name]})
        return points


def summarise(points: list[dict]) -> list[dict]:
    """A dict per thing measured: what, axis, sizes, seconds, peak_mb and how they grow.

    exponent: least-squares slope of log seconds against log size; fixed costs pull it below 1.
    per_unit: marginal seconds per image, run or pixel, (t3 - t1) / (n3 - n1).
    bend: marginal cost of the upper half over that of the lower half; whatever the fixed cost, 1
        for a straight line, 2 for a square. None where the largest costs little more (a quarter).
    memory_exponent, memory_per_unit (MB), memory_bend: the same of peak_mb, None below LEAST_MB.
    """
    rows = []
    for what, axis in dict.fromkeys((p["what"], p["axis"]) for p in points):
        mine = [p for p in points if (p["what"], p["axis"]) == (what, axis)]
        sizes, seconds, peak_mb = ([p[key] for p in mine] for key in ("size", "seconds", "peak_mb"))
        row = {"what": what, "axis": axis, "sizes": sizes, "seconds": seconds, "peak_mb": peak_mb}
        row |= _growth(sizes, seconds)
        for key, value in _growth(sizes, peak_mb).items():
            row[f"memory_{key}"] = value if max(peak_mb) > LEAST_MB else None
        rows.append(row)
    return rows


def _growth(sizes: list[int], costs: list[float]) -> dict[str, float | None]:
    exponent = np.polyfit(np.log(sizes), np.log(np.maximum(costs, 1e-6)), 1)[0]
    per_unit = (costs[-1] - costs[0]) / (sizes[-1] - sizes[0])
    lower, upper = np.diff(costs) / np.diff(sizes)
    bend = float(upper / lower) if costs[-1] > 1.25 * costs[0] and lower > 0 else None
    return {"exponent": float(exponent), "per_unit": per_unit, "bend": bend}


def _jobs(scratch: Path) -> Iterator[dict]:
    """What is measured on what. The data path finds the pixel cache of the job before it."""
    dataset = open_dataset(os.environ.get("STANFORD_CARS") or make_demo())
    most = min(IMAGES, len(dataset.annotations))
    for count in (most // 4, most // 2, most):
        job = {"axis": "images", "size": count, "side": 64, "cache": str(scratch / f"n{count}")}
        job["data"] = _part(dataset, count, scratch / f"images-{count}")
        for what in ("read annotations", "fingerprint", "check-data", "pixel cache", "data path"):
            yield job | {"what": what}
    for count in THUMBNAILS:
        yield {"what": "near duplicates", "axis": "images", "size": count, "thumbs": count}
    data = _part(dataset, min(SIDE_IMAGES, most), scratch / "images")
    for side in SIDES:
        job = {"axis": "pixels", "size": side**2, "side": side, "data": data}
        for what in ("pixel cache", "data path", "training step"):
            yield job | {"what": what, "cache": str(scratch / f"s{side}")}
    for count in RUNS:
        job = {"axis": "runs", "size": count, "reports": _reports(scratch, count, RUN_IMAGES[0])}
        for what in ("load_runs", "prediction_matrix", "claims", "report"):
            yield job | {"what": what}
    for count in RUN_IMAGES:
        job = {"axis": "images", "size": count, "reports": _reports(scratch, RUNS[0], count)}
        for what in ("prediction_matrix", "claims"):
            yield job | {"what": what}


def _part(dataset: Dataset, count: int, folder: Path) -> str:
    """`count` images in Stanford Cars' own layout (links), each class and split in proportion."""
    table = dataset.annotations
    groups = table.groupby(["split", "class_id"])["path"]
    rank = (groups.cumcount() + 0.5) / groups.transform("size")
    table = table.loc[np.sort(rank.sort_values(kind="stable").index[:count])].fillna(1)
    (folder / "devkit").mkdir(parents=True)
    names = {"class_names": np.array([dataset.class_names], dtype=object)}
    savemat(folder / "devkit/cars_meta.mat", names)
    fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"]
    files = {"train": "devkit/cars_train_annos.mat", "test": "cars_test_annos_withlabels.mat"}
    for split, file in files.items():
        part = table[table["split"] == split]
        (folder / f"cars_{split}").mkdir()
        records = np.empty((1, len(part)), dtype=[(name, object) for name in fields])
        for i, row in enumerate(part.itertuples()):
            name = f"{i:05d}{Path(row.path).suffix}"
            os.symlink((dataset.root / row.path).resolve(), folder / f"cars_{split}" / name)
            numbers = (row.x1, row.y1, row.x2, row.y2, row.class_id + 1)
            records[0, i] = (*map(np.uint16, numbers), name)
        savemat(folder / file, {"annotations": records}, oned_as="row")
    return str(folder)


def _reports(scratch: Path, runs: int, images: int) -> str:
    """A profile's folder of finished runs, made up by the tests' writer."""
    folder = scratch / f"runs-{runs}-{images}"
    if folder.exists():
        return str(folder)
    sys.path.append(TESTS)
    from fake_runs import fake_profile_json, fake_run

    shape = {"epochs": 40, "classes": 196, "images": (500, images)}
    for i in range(runs):
        group = ("pretrained", "scratch_rgb", "scratch_gray")[i % 3]
        trial = {"dropout_rate": i // 3 % 4 / 10, "weight_decay": (0.01, 0.1)[i // 12 % 2]}
        fake_run(folder, f"run {i:03d}", group, 0.7 + i % 20 / 100, seed=i // 24, **shape, **trial)
    fake_profile_json(folder)
    return str(folder)


def _prepare(what: str, job: dict) -> Callable[[], object]:
    """Open what is needed, and import torch only where it is; returns what is timed."""
    data, cache, reports, side = (job.get(key) for key in ("data", "cache", "reports", "side"))
    if what == "read annotations":
        return lambda: open_dataset(data)
    if what == "check-data":
        return lambda: check(data, progress=False)
    if what == "near duplicates":
        squares = np.random.default_rng(0).integers(0, 256, (job["thumbs"], 8, 8), np.uint8)
        thumbs, usable = squares.repeat(4, 1).repeat(4, 2), np.ones(len(squares), bool)
        return lambda: near_duplicates(thumbs, usable)
    if what in ("fingerprint", "pixel cache"):
        table = open_dataset(data).annotations
        if what == "fingerprint":
            return lambda: fingerprint(data, table, tempfile.mkdtemp(dir=Path(data).parent))

        def build() -> None:  # without workers: all the memory is this process's
            shutil.rmtree(cache, ignore_errors=True)
            pixels(data, table, side, cache_dir=cache, workers=1)

        return build
    if what in ("data path", "training step"):
        return _epoch(data, side, cache) if what == "data path" else _step(side)
    if what in ("claims", "report"):
        from effnet.report.page import build_report
        from effnet.verdicts.claims import write_claims

        return partial(write_claims if what == "claims" else build_report, reports)
    runs = load_runs(reports) if what == "prediction_matrix" else None
    return (lambda: load_runs(reports)) if runs is None else lambda: prediction_matrix(runs)


def _epoch(data: str, side: int, cache: str) -> Callable[[], None]:
    """Every batch of an epoch: training images augmented, validation images normalised."""
    from effnet.augment import NORMALIZATIONS, Augment
    from effnet.data import CarsDataModule
    from effnet.fast.memory import keep_freed_memory

    keep_freed_memory()  # as training does
    module = CarsDataModule(data, side, cache_dir=cache)
    module.setup()
    augment = Augment(*NORMALIZATIONS["imagenet", 3])

    def epoch() -> None:
        for images, _ in module.train_dataloader():
            augment(images, train=True)
        for images, _ in module.val_dataloader():
            augment(images, train=False)

    return epoch


def _step(side: int) -> Callable[[], None]:
    """A step of B0 on 16 images, augmentation, loss, gradients and update included."""
    import torch

    from effnet.fast.memory import keep_freed_memory
    from effnet.train import make_classifier
    from effnet.trial import Trial

    keep_freed_memory()
    classifier = make_classifier(Trial(image_size=side), 196, None)
    optimizer = classifier.configure_optimizers()
    images = torch.randint(256, (16, 3, side, side), dtype=torch.uint8)

    def step() -> None:
        optimizer.zero_grad()
        logits = classifier.model(classifier.augment(images, train=True))
        classifier.loss(logits, torch.arange(16)).backward()
        optimizer.step()

    return step


def _in_child(job: dict) -> dict:
    """What a job costs in a process of its own; torch's threads would add noise, not growth."""
    command, one = [sys.executable, __file__, json.dumps(job)], {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | one
    )
    return json.loads(result.stdout.splitlines()[-1])


def _child(job: dict) -> None:
    timed = _prepare(job["what"], job)
    before, seconds = _peak_mb(reset=True), []
    # The first call fills caches and memory; at least one more is timed, however long it takes.
    while len(seconds) < 2 or (len(seconds) <= REPEATS and sum(seconds) < ENOUGH_SECONDS):
        start = time.perf_counter()
        timed()
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds[1:])
    print(json.dumps({"seconds": median, "peak_mb": max(0.0, _peak_mb() - before)}))


def _peak_mb(reset: bool = False) -> float:
    """Most memory this program has had; with `reset`, since now. Linux alone.

    ru_maxrss starts at the peak of the process that started this one: 1 GB for a driver with torch.
    """
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    """Print the table; costs per 1,000 units."""
    table = pd.DataFrame(summarise(measure()))
    for column, digits in {"sizes": 0, "seconds": 3, "peak_mb": 1}.items():
        table[column] = [" ".join(f"{v:.{digits}f}" for v in row) for row in table[column]]
    for column in ("per_unit", "memory_per_unit"):
        table[column] = [f"{1000 * v:.4g}" for v in table[column].astype(float)]
    print(table.to_string(index=False, na_rep="-", float_format="{:.2f}".format))


if __name__ == "__main__":
    _child(json.loads(sys.argv[1])) if len(sys.argv) > 1 else main()
