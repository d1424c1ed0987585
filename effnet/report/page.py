"""The report of a profile: one self-contained page, the same as Markdown, a page per run.

`python -m effnet.report reports/demo` rebuilds it from what is there, without training.
"""

import base64
import hashlib
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from markupsafe import Markup

import effnet
from effnet.errors import EffnetError
from effnet.files import WRITING
from effnet.paths import relative
from effnet.report.content import gather, slug
from effnet.report.failures import say
from effnet.report.notebooks import TEMPLATES, anchor, export_notebooks, write_page
from effnet.report.onepage import text, write_onepage
from effnet.runs import history, runs_below
from effnet.training import identity
from effnet.trial import field_help
from effnet.verdicts.claims import write_claims

LITTER_AGE = 3600  # seconds
WIDTH, HEIGHT = 640, 220  # of a run page's charts, in CSS pixels


def build_report(reports: Path | str) -> Path:
    """Judge the claims and write index.html, report.md, summary.md, notebooks' and runs' pages.

    The page is one file: images, styles and script are inside; links lead to files beside it.
    Figures that were not made are listed as missing; what failed or is damaged is named there and
    on stderr. Returns the path of index.html. Raises EffnetError when `reports` is no folder, and
    CannotWrite.
    """
    reports = Path(reports)
    if not reports.is_dir():
        raise EffnetError(f"{relative(reports)} is no folder: `make reproduce` makes reports/demo.")
    _sweep(reports)
    claims = write_claims(reports)
    content = gather(reports, claims, *export_notebooks(reports))
    content["report"] = {
        "version": effnet.__version__,
        "commit": identity.commit(),
        "created": datetime.now(UTC).isoformat(timespec="minutes"),
    }
    environment = _environment()
    _write_run_pages(reports, environment)
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    content |= {"script": script, "script_hash": f"sha256-{script_hash}"}
    write_page(reports / "index.html", environment.get_template("report.html.j2").render(content))
    markdown = environment.overlay(finalize=_markdown)
    write_page(reports / "report.md", markdown.get_template("report.md.j2").render(content))
    write_onepage(reports, claims)
    say(content["failures"], reports)
    return reports / "index.html"


def _sweep(reports: Path) -> None:
    """Remove what killed writers left; a file that is being written now is younger than an hour."""
    for part in ("figures", "tables", "notebooks"):
        for left in (reports / part).glob(f"{WRITING}*"):
            with suppress(OSError):  # another user's, or gone meanwhile
                if time.time() - left.stat().st_mtime > LITTER_AGE:
                    left.unlink()


def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["slug"] = slug
    environment.filters["anchor"] = anchor
    environment.filters["code"] = lambda text: Markup(str(text).replace("`", "'"))
    return environment


def _markdown(value: Any) -> str:
    """A value as text of Markdown; what is marked up is as the template has it."""
    return value if isinstance(value, Markup) else text(value)


def _write_run_pages(reports: Path, environment: Any) -> None:
    """`runs/<id>/index.html`: hyperparameters, curves and files of each run."""
    template = environment.get_template("run.html.j2")
    help_lines = field_help()
    runs = runs_below(reports)
    for run in runs[runs["state"] != "damaged"].to_dict("records"):
        folder = Path(run["path"])
        past = history(folder)
        page = template.render(
            run={key: _plain(value) for key, value in run.items()},
            settings=[
                {"name": name, "value": _plain(run[name]), "help": text}
                for name, text in help_lines.items()
                if name in run
            ],
            charts=[] if past is None or past.empty else _charts(past),
            files=[
                {"name": path.name, "kilobytes": f"{path.stat().st_size / 1024:,.1f}"}
                for path in sorted(folder.iterdir())
                if path.is_file() and path.name != "index.html" and not path.name.startswith(".")
            ],
        )
        write_page(folder / "index.html", page)


def _plain(value: Any) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _charts(history: pd.DataFrame) -> list[dict[str, Any]]:
    """Accuracy and loss against epochs, as points of polylines."""
    charts = []
    for title, column in (("Accuracy", "acc_batch_mean"), ("Loss", "loss_batch_mean")):
        values = history[[f"train_{column}", f"val_{column}"]]
        low, high = float(values.min(axis=None)), float(values.max(axis=None))
        low = 0.0 if column.startswith("acc") else low
        span, last = (high - low) or 1.0, max(1, len(history) - 1)
        lines = {
            part: " ".join(
                f"{WIDTH * i / last:.1f},{HEIGHT * (1 - (v - low) / span):.1f}"
                for i, v in enumerate(history[f"{part}_{column}"])
            )
            for part in ("train", "val")
        }
        charts.append(
            {"title": title, "low": f"{low:.2f}", "high": f"{high:.2f}", "lines": lines}
            | {"width": WIDTH, "height": HEIGHT, "epochs": len(history)}
        )
    return charts
