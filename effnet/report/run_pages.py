"""A page for each run: what came out, its curves, what it confuses, its settings and files."""

from pathlib import Path
from typing import Any

import pandas as pd

from effnet import thesis
from effnet.files import Damaged, read_sealed
from effnet.plots.groups import group_name, run_label
from effnet.plots.mistakes import confused_pairs
from effnet.report.charts import charts
from effnet.report.notebooks import write_page
from effnet.report.run_tables import best_first, percent
from effnet.runs import history, predictions, run_folder, runs_below
from effnet.trial import field_help
from effnet.verdicts.profile import is_part, is_real, read_profile

PAIRS = 10  # of classes that are taken for each other


def write_run_pages(reports: Path, environment: Any) -> None:
    """`runs/<id>/index.html` of each run, best first, each leading to the one before and after."""
    template = environment.get_template("run.html.j2")
    help_lines, profile = field_help(), read_profile(reports)
    runs = runs_below(reports)
    runs = best_first(runs[runs["state"] != "damaged"])
    published = thesis.published_runs().set_index("run")["max_val_acc"] if is_real(profile) else {}
    rows = [run for _, run in runs.iterrows()]
    for place, run in enumerate(rows):
        folder, past = run_folder(run), history(run)
        page = template.render(
            run=run,
            label=run_label(run),
            group=group_name(str(run["group"])),
            before=_neighbour(rows[place - 1]) if place else None,
            after=_neighbour(rows[place + 1]) if place + 1 < len(rows) else None,
            best=None if pd.isna(run.get("max_val_acc")) else _best(run),
            settings=[
                {"name": name, "value": _plain(run[name]), "help": text}
                for name, text in help_lines.items()
                if name in run
            ],
            charts=[] if past is None or past.empty else charts(past, published.get(run["name"])),
            confused=_confused(run, is_real(profile) or is_part(profile)),
            files=[
                {"name": path.name, "kilobytes": f"{path.stat().st_size / 1024:,.1f}"}
                for path in sorted(folder.iterdir())
                if path.is_file() and path.name != "index.html" and not path.name.startswith(".")
            ],
        )
        write_page(folder / "index.html", page)


def _neighbour(run: pd.Series) -> dict[str, str]:
    return {"id": run["trial_id"], "label": run_label(run)}


def _best(run: pd.Series) -> dict[str, str]:
    """The best epoch's accuracies in percent, and what is known of the epochs, as text."""
    keys = ("max_val_acc_batch_mean", "max_val_acc", "max_train_acc_batch_mean", "max_train_acc")
    texts = {key: percent(run.get(key)) for key in keys}
    for key in ("last_epoch", "best_epoch"):
        texts[key] = "unknown" if pd.isna(run.get(key)) else f"{run[key]:.0f}"
    texts["drops"] = str(run.get("lr_drops") or "none").replace(";", ", ")
    seconds = run["seconds"]
    texts["time"] = "unknown" if pd.isna(seconds) else f"{seconds / 60:.1f} minutes"
    return texts


def _confused(run: pd.Series, cars: bool) -> list[dict[str, Any]]:
    """The pairs of classes that a finished run takes for each other most often on validation."""
    try:
        answers = predictions(run, "val")
        named = read_sealed(run_folder(run) / "trial.json").get("classes")
    except Damaged:  # unfinished, or without predictions
        return []
    count = 1 + int(answers[["class_id", "predicted_class_id"]].max(axis=None))
    known = thesis.class_names() if cars else [f"class {i}" for i in range(count)]
    names = named if isinstance(named, list) and len(named) >= count else known
    pairs = confused_pairs(answers, names).head(PAIRS)
    return pairs.rename(columns={"taken for": "answer"}).to_dict("records")


def _plain(value: Any) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
