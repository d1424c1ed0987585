"""The report of a profile: one self-contained page, the same as Markdown, a page per run.

`python -m effnet.report reports/demo` rebuilds it from what is there, without training.
"""

import base64
import hashlib
import re
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

import effnet
from effnet.errors import EffnetError
from effnet.files import WRITING
from effnet.paths import relative
from effnet.report.content import gather, slug
from effnet.report.failures import say
from effnet.report.notebooks import TEMPLATES, anchor, export_notebooks, write_page
from effnet.report.onepage import text, write_onepage
from effnet.report.run_pages import write_run_pages
from effnet.training import identity
from effnet.verdicts.claims import write_claims

LITTER_AGE = 3600  # seconds


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
    write_run_pages(reports, environment)
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
    environment.filters["ticks"] = _ticks
    environment.filters["code"] = lambda text: Markup(str(text).replace("`", "'"))
    return environment


def _ticks(value: str) -> Markup:
    """Text whose `code` stands between backticks, as HTML."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(value))))


def _markdown(value: Any) -> str:
    """A value as text of Markdown; what is marked up is as the template has it."""
    return value if isinstance(value, Markup) else text(value)
