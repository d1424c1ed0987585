"""`make bench`: the kit beside the thesis's way and its peers, in one run on one machine.

Every measurement is a fresh process; contenders take turns, and a figure is the median of the
repeats. Results go to benchmarks/results/<device>.json and, as tables, to <device>.md beside it.
With names of parts as arguments (see PARTS) only those are measured anew.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch
from table import write_tables

from effnet import thesis
from effnet.files import write_json
from effnet.training import identity

HERE = Path(__file__).parent
CUDA = torch.cuda.is_available()

PLAIN = {"precision": "32-true", "channels_last": False, "fused": False, "compile": False}
PLAIN |= {"cuda_graphs": False, "keep_memory": False, "short_spin": True}
KIT = PLAIN | {"channels_last": True, "fused": True, "keep_memory": True}
FAST = KIT | {"precision": "bf16-mixed", "compile": True}

THESIS = {"model": "efficientnet_pytorch", "loader": "thesis", **PLAIN}
CONTENDERS = {
    "the thesis's way": THESIS | {"short_spin": False},
    "the thesis's way, short spin": THESIS,
    "timm, thesis's loader": {"model": "timm", "loader": "thesis", **PLAIN},
    "torchvision, thesis's loader": {"model": "torchvision", "loader": "thesis", **PLAIN},
    # The first thing that anyone would do: pixels kept, the layout that oneDNN likes.
    "the thesis's network, our loader": THESIS
    | {"loader": "ours", "channels_last": True, "short_spin": False},
    "timm, our loader": {"model": "timm", "loader": "ours", **KIT},
    "torchvision, our loader": {"model": "torchvision", "loader": "ours", **KIT},
    "ours": {"model": "ours", "loader": "ours", **KIT},
}
COMPILED = {
    f"{model}, compiled": {"model": model, "loader": "ours", **KIT, "compile": True}
    for model in ("timm", "torchvision", "ours")
}
LITE = {name: CONTENDERS[name] | {"scale": "lite0"} for name in ("timm, our loader", "ours")}
ON_GPU = {
    "timm, compiled, bf16": {"model": "timm", "loader": "ours", **FAST},
    "torchvision, compiled, bf16": {"model": "torchvision", "loader": "ours", **FAST},
    "ours, compiled, bf16": {"model": "ours", "loader": "ours", **FAST},
    "ours, bf16, graphs": {
        "model": "ours", "loader": "ours", **FAST, "compile": False, "cuda_graphs": True
    },
    "ours, compiled, bf16, graphs": {
        "model": "ours", "loader": "ours", **FAST, "cuda_graphs": True
    },
}  # fmt: skip
BEST = "ours, compiled, bf16, graphs" if CUDA else "ours"
# Side in pixels -> images of the epoch, each of training and validation.
EPOCHS = {64: 8192, 224: 4096} if CUDA else {64: 640, 224: 96}
BATCHES = (32, 96, 256) if CUDA else (32,)


def workload() -> dict[str, Any]:
    """The images that all contenders see."""
    real = os.environ.get("STANFORD_CARS")
    if not real:
        from effnet.demo.folder import make_demo

        return {"data": str(make_demo()), "classes": None}
    return {"data": real, "classes": None if CUDA else 80}


def contend(
    contenders: dict[str, dict[str, Any]],
    figures: list[str],
    size: int,
    batch: int,
    repeats: int,
    data: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Measure all contenders in turn, `repeats` times; a row each with medians and all values."""
    data = data or workload()
    images = {"train_images": EPOCHS[size], "val_images": EPOCHS[size]}
    seen: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for repeat in range(repeats):
        for name, settings in contenders.items():
            job = data | images | {"size": size, "batch": batch, "figures": figures}
            seen[name].append(one(job | settings))
            shown = ", ".join(f"{k} {v:.4g}" for k, v in seen[name][-1].items())
            print(f"  {size} px, batch {batch}, {repeat + 1} of {repeats}, {name}: {shown}")
    return [
        {"name": name, "size": size, "batch": batch, "settings": contenders[name]}
        | {key: statistics.median(v[key] for v in values) for key in values[0]}
        | {"values": values}
        for name, values in seen.items()
    ]


def one(settings: dict[str, Any], **more: str) -> dict[str, float]:
    """One measurement in a process of its own."""
    return finish(start(settings, **more))


def start(settings: dict[str, Any], **more: str) -> subprocess.Popen:
    command = [sys.executable, str(HERE / "contender.py"), json.dumps(settings)]
    environment = os.environ | {"PYTHONWARNINGS": "ignore"} | more
    # How long torch's idle threads spin; the kit's own setting, see effnet/__init__.py.
    environment.pop("GOMP_SPINCOUNT", None)
    if settings["short_spin"]:
        environment["GOMP_SPINCOUNT"] = "5000"
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)


def finish(process: subprocess.Popen) -> dict[str, float]:
    output, _ = process.communicate()
    if process.returncode:
        sys.exit(f"error: a contender ended with exit code {process.returncode}: {process.args}")
    return json.loads(output.splitlines()[-1])


def contest(size: int, repeats: int) -> dict[str, Any]:
    """Data path, step and epoch of every contender at one resolution."""
    rows = contend(CONTENDERS, ["data", "step", "epoch"], size, 32, repeats)
    if CUDA:
        for batch in BATCHES:
            rows += contend(ON_GPU, ["step", "epoch"], size, batch, repeats)
    else:
        rows += contend(COMPILED, ["step"], size, 32, repeats)
    return {"rows": rows}


def photographs(repeats: int) -> dict[str, Any]:
    """Data path and epoch from files of the size that Stanford Cars has."""
    import wholes

    both = {name: CONTENDERS[name] for name in ("the thesis's way", "ours")}
    rows = []
    with wholes.enlarged(**workload(), images=min(2048, max(EPOCHS.values()))) as folder:
        data = {"data": str(folder), "classes": None}
        for size in EPOCHS:
            rows += contend(both, ["data", "epoch"], size, 32, repeats, data)
    return {"rows": rows, "side": wholes.PHOTOGRAPH}


def lite(repeats: int) -> dict[str, Any]:
    """The step of lite0, ours beside timm's, and how far their logits are apart."""
    import peers

    rows = [row for size in EPOCHS for row in contend(LITE, ["step"], size, 32, repeats)]
    return {"rows": rows, "logits": peers.logits_apart(max(EPOCHS))}


def ratios(rows: list[dict[str, Any]], size: int) -> dict[str, float]:
    """Ours over the thesis's way, images per second."""
    by = {row["name"]: row for row in rows if row["batch"] == 32 and row["size"] == size}
    thesis_way, best = by["the thesis's way"], by.get(BEST, by["ours"])
    found = {
        f"epoch_vs_thesis_{size}": best["epoch"] / thesis_way["epoch"],
        f"data_path_vs_thesis_{size}": by["ours"]["data_one"] / thesis_way["data_one"],
    }
    if short_spin := by.get("the thesis's way, short spin"):
        found[f"epoch_vs_thesis_{size}_short_spin"] = best["epoch"] / short_spin["epoch"]
    return found


def together(repeats: int) -> dict[str, Any]:
    """Training images per second of several trials at once, against their number."""
    rows = []
    size = 224 if CUDA else 64
    images = {"train_images": EPOCHS[size], "val_images": 32}
    job = workload() | images | {"size": size, "batch": 32, "figures": ["sustained"]}
    cores = identity.cores()
    for trials in (1, 2, 4, 8) if CUDA else (1, 2, 4):
        totals = []
        for _ in range(repeats):
            settings = job | CONTENDERS["ours"] | {"start_at": time.time() + 20 + 3 * trials}
            if CUDA:
                settings |= ON_GPU["ours, bf16, graphs"]
            threads = str(max(1, cores // trials))
            running = [start(settings, OMP_NUM_THREADS=threads) for _ in range(trials)]
            totals.append(sum(finish(process)["sustained"] for process in running))
        rows.append({"trials": trials, "total": statistics.median(totals), "values": totals})
        print(f"  {trials} trials at once: {rows[-1]['total']:.0f} images/s together")
    return {"rows": rows}


def projected(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Hours for the thesis's 65 runs at 224 px, each to its last allowed epoch, one at a time."""
    grid = thesis.grid()
    rates = {r["batch"]: r for r in rows if r["name"] == BEST and r["size"] == 224}
    seconds = 0.0
    for run in grid.itertuples():
        rate = rates.get(int(run.batch_size), rates[32])
        seconds += run.max_epochs * (8144 / rate["train"] + 8041 / rate["val"])
    return {"runs": len(grid), "hours": seconds / 3600, "settings": BEST}


def plain(value: Any) -> Any:
    """Numbers as JSON knows them; NaN becomes null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    value = value.item() if hasattr(value, "item") else value
    return None if value != value else value


def parts(repeats: int) -> dict[str, Any]:
    import cluster
    import scaling
    import wholes

    return {
        **{f"contest_{size}": partial(contest, size, repeats) for size in EPOCHS},
        "photographs": lambda: photographs(repeats),
        "lite": lambda: lite(repeats),
        "together": lambda: together(repeats),
        "startup": lambda: wholes.startup(workload(), repeats),
        "notebook": lambda: wholes.notebook_overhead(repeats),
        "accuracy": wholes.accuracy,
        "reproduce": wholes.reproduce,
        "cluster": lambda: cluster.measure(repeats),
        "scaling": lambda: {"rows": scaling.summarise(scaling.measure())},
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help="which (default: all)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--note", default="", help="stands beside the figures: what else ran")
    arguments = parser.parse_args()
    known = parts(arguments.repeats)
    if unknown := set(arguments.parts) - set(known):
        sys.exit(f"error: no part is called {', '.join(unknown)}: there are {', '.join(known)}.")
    device = identity.environment()["device"]
    name = re.sub(r"[^a-z0-9]+", "-", f"{device} {identity.cores()} cores".lower()).strip("-")
    path = HERE / "results" / f"{name}.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    for part in arguments.parts or known:
        print(f"{part}:", flush=True)
        began = time.perf_counter()
        results[part] = plain(known[part]())
        results[part]["seconds"] = round(time.perf_counter() - began, 1)
        results[part]["environment"] = identity.environment()
        results[part]["data"] = (
            "Stanford Cars sample" if os.environ.get("STANFORD_CARS") else "demo"
        )
        results[part]["note"] = arguments.note
        results[part]["measured"] = datetime.now(UTC).isoformat(timespec="seconds")
        if part.startswith("contest_"):
            results |= ratios(results[part]["rows"], int(part.removeprefix("contest_")))
        if part == "contest_64":  # one figure where one is asked for
            results["data_path_vs_thesis"] = results["data_path_vs_thesis_64"]
        if part == "photographs":
            for size in EPOCHS:
                found = ratios(results[part]["rows"], size)
                results |= {f"{name}_photographs": value for name, value in found.items()}
        if part == "contest_224":
            results["projected"] = projected(results[part]["rows"])
        write_json(path, results)
        write_tables(results, path.with_suffix(".md"))
    print(path.with_suffix(".md").read_text())


if __name__ == "__main__":
    sys.stdout.reconfigure(line_buffering=True)
    main()
