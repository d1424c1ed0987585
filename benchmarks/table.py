"""The results of `make bench` as Markdown."""

import statistics
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from effnet.files import write_text

SETTINGS = {
    "precision": {"32-true": "float32", "bf16-mixed": "bf16"},
    "channels_last": {True: "channels_last", False: "contiguous"},
    "fused": {True: "fused", False: ""},
    "compile": {True: "compiled", False: ""},
    "cuda_graphs": {True: "CUDA graphs", False: ""},
    "keep_memory": {True: "memory kept", False: ""},
    "short_spin": {True: "short spin", False: ""},
}


COLUMNS = (
    "data, one core",
    "data, all cores",
    "step alone",
    "training",
    "epoch with validation",
    "times the thesis's way",
    "of its ceiling",
    "waiting for data",
    "peak MB",
)


def write_tables(results: dict[str, Any], path: Path) -> None:
    """All tables of what was measured so far."""
    blocks = ["# Measured by `make bench`", *_ratios(results)]
    for part, make in TABLES.items():
        if part in results:
            blocks += make(results)
    write_text(path, "\n\n".join(blocks) + "\n")


def _contest(part: str, results: dict[str, Any]) -> Iterable[str]:
    contest = results[part]
    yield f"## Training at {part.removeprefix('contest_')} px"
    yield _head(contest)
    for batch in sorted({row["batch"] for row in contest["rows"]}):
        yield from _batch(f"Batch {batch}", [r for r in contest["rows"] if r["batch"] == batch])


def _batch(title: str, rows: list[dict[str, Any]]) -> Iterable[str]:
    base = next((row for row in rows if row["name"] == "the thesis's way"), {})
    yield (
        f"{title}, images per second, medians of {_repeats(rows)} (ratios in brackets: "
        "the lowest and the highest of a repeat):"
    )
    yield _markdown(["contender", "settings", *COLUMNS], [_row(row, base) for row in rows])


def _projected(results: dict[str, Any]) -> Iterable[str]:
    projected = results["projected"]
    yield (
        f"At these speeds the thesis's {projected['runs']} runs at 224 px take at most "
        f"{projected['hours']:,.1f} hours ({projected['settings']}; every run to its last allowed "
        "epoch, one at a time)."
    )


def _ratios(results: dict[str, Any]) -> Iterable[str]:
    names = sorted(name for name in results if "_vs_thesis" in name)
    rows = [[name, f"{results[name]:.1f}"] for name in names]
    if rows:  # not where only other parts were asked for
        yield _markdown(["ours over the thesis's way, images/s", "ratio"], rows)


def _row(row: dict[str, Any], base: dict[str, Any]) -> list[str]:
    rates = ("data_one", "data_all", "step", "train", "epoch")
    return [
        row["name"],
        _settings(row["settings"]),
        *(_rate(row.get(key)) for key in rates),
        _times(row.get("epoch"), base.get("epoch")) + _between(row, base),
        _percent(row["train"] / row["step"] if {"train", "step"} <= row.keys() else None),
        _percent(row.get("waiting")),
        f"{row['peak_mb']:,.0f}",
    ]


def _photographs(results: dict[str, Any]) -> Iterable[str]:
    part = results["photographs"]
    yield "## From files of the originals' size"
    yield f"All images enlarged to {part['side']} pixels on their short side. " + _head(part)
    for size in sorted({row["size"] for row in part["rows"]}):
        yield from _batch(f"{size} px, batch 32", [r for r in part["rows"] if r["size"] == size])


def _lite(results: dict[str, Any]) -> Iterable[str]:
    part, logits = results["lite"], results["lite"]["logits"]
    yield "## EfficientNet-Lite0 beside timm's"
    yield _head(part)
    yield (
        f"With the same published weights the logits (up to {logits['largest']:.1f}, on noise of "
        f"{logits['size']} px) differ by at most {logits['plain']:.1g}, as trials evaluate them by "
        f"{logits['evaluated']:.1g}. The step alone, batch 32, images per second, medians of "
        f"{_repeats(part['rows'])}:"
    )
    lines = []
    for theirs, ours in zip(part["rows"][::2], part["rows"][1::2], strict=True):
        pairs = zip(ours["values"], theirs["values"], strict=True)
        times = sorted(mine["step"] / other["step"] for mine, other in pairs)
        ratio = f"{statistics.median(times):.2f} ({times[0]:.2f} to {times[-1]:.2f})"
        lines.append([f"{ours['size']} px", _rate(theirs["step"]), _rate(ours["step"]), ratio])
    yield _markdown(["", "timm", "ours", "ours over timm, side by side"], lines)


def _together(results: dict[str, Any]) -> Iterable[str]:
    rows = results["together"]["rows"]
    yield "## Several trials at once"
    yield _markdown(
        ["trials", "images/s together", "times one"],
        [[r["trials"], _rate(r["total"]), _times(r["total"], rows[0]["total"])] for r in rows],
    )


def _wholes(results: dict[str, Any]) -> Iterable[str]:
    yield f"From `import effnet` to the first step: {results['startup']['first_step']:.1f} s."


def _notebook(results: dict[str, Any]) -> Iterable[str]:
    part = results["notebook"]
    yield (
        f"Notebook 03 takes {part['notebook']:.1f} s, its run alone {part['run']:.1f} s: "
        f"{part['overhead']:.1f} s for the kernel, its imports and its figures."
    )


def _accuracy(results: dict[str, Any]) -> Iterable[str]:
    yield "## Plain and fast settings, same accuracy"
    yield "Best validation accuracy of B0 from scratch on the demo, 8 epochs, 95 % interval."
    columns = ("setting", "seeds", "mean", "spread", "difference", "low", "high", "verdict")
    rows = results["accuracy"]["rows"]
    yield _records([{column: row[column] for column in columns} for row in rows])


def _reproduce(results: dict[str, Any]) -> Iterable[str]:
    part = results["reproduce"]
    yield f"## `make reproduce`, demo, environment there: {part['total']:.0f} s"
    notebooks = ", ".join(f"{name[:2]} {s:.0f} s" for name, s in part["notebooks"].items())
    rows = [[stage, f"{seconds:.0f}"] for stage, seconds in part["stages"].items()]
    yield _markdown(["stage", "seconds"], rows)
    yield f"Notebooks, two at a time: {notebooks}."


def _cluster(results: dict[str, Any]) -> Iterable[str]:
    part = results["cluster"]
    yield "## The grid on Ray"
    yield (
        "Trials that only sleep, on nodes of one CPU that are processes of this machine. "
        f"Ray itself starts in {part['ray_starts']:.0f} s; the driver's peak is "
        f"{part['driver_mb']:.0f} MB."
    )
    columns = [
        "nodes",
        "trials",
        "seconds each",
        "took",
        "of the ideal",
        "first trial of a node waits",
    ]
    rows = [
        [
            *(row["nodes"], row["trials"], row["sleep"], f"{row['took']:.1f} s"),
            _percent(row["share"]),
            f"{row['first']:.1f} s" if "first" in row else "",
        ]
        for row in part["rows"]
    ]
    yield _markdown(columns, rows)
    pairs = part["demo"]
    both = zip(pairs["seconds"]["local"], pairs["seconds"]["ray"], pairs["ratios"], strict=True)
    yield "The demo's grid, side by side:"
    yield _markdown(
        ["local", "Ray", "Ray over local"],
        [[f"{a:.0f} s", f"{b:.0f} s", f"{r:.2f}"] for a, b, r in both],
    )


def _scaling(results: dict[str, Any]) -> Iterable[str]:
    yield "## Growth"
    yield _records(results["scaling"]["rows"])


TABLES = {
    "contest_64": partial(_contest, "contest_64"),
    "contest_224": partial(_contest, "contest_224"),
    "projected": _projected,
    "photographs": _photographs,
    "lite": _lite,
    "together": _together,
    "startup": _wholes,
    "notebook": _notebook,
    "accuracy": _accuracy,
    "reproduce": _reproduce,
    "cluster": _cluster,
    "scaling": _scaling,
}


def _head(part: dict[str, Any]) -> str:
    e = part["environment"]
    return (
        f"{e['device']}, {e['cores']} cores, torch {e['torch']}, Python {e['python']}, commit "
        f"{e['commit']}, {part['measured']}, images of the {part['data']}."
        + (f" {part['note']}." if part.get("note") else "")
    )


def _settings(settings: dict[str, Any]) -> str:
    words = [names[settings[key]] for key, names in SETTINGS.items()]
    return ", ".join(word for word in words if word)


def _repeats(rows: list[dict[str, Any]]) -> int:
    return min(len(row["values"]) for row in rows)


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _times(value: float | None, base: float | None) -> str:
    return f"{value / base:.1f}" if value and base else ""


def _between(row: dict[str, Any], base: dict[str, Any]) -> str:
    """The lowest and highest ratio of epochs that were measured one after the other."""
    if "epoch" not in row or "epoch" not in base or row is base:
        return ""
    pairs = zip(row["values"], base["values"], strict=True)
    ratios = [ours["epoch"] / theirs["epoch"] for ours, theirs in pairs]
    return f" ({min(ratios):.1f} to {max(ratios):.1f})"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"


def _records(rows: list[dict[str, Any]]) -> str:
    columns = list(rows[0]) if rows else []
    cells = [[_cell(row[column]) for column in columns] for row in rows]
    return _markdown([column.replace("_", " ") for column in columns], cells)


def _cell(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_cell(v) for v in value)
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _markdown(columns: list[str], rows: list[list[Any]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
