"""What the report page shows, gathered from a profile's folder into plain values."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from effnet import thesis
from effnet.plots.expected import expectations, summary
from effnet.plots.groups import run_label
from effnet.plots.published_grid import published_grid
from effnet.report.failures import find_failures
from effnet.report.items import Context, Item, fill
from effnet.report.opening import claim_map, comparison, sentences
from effnet.report.run_tables import EXECUTION_NOTE, execution_sets, run_rows
from effnet.report.runner import GROUPS
from effnet.report.story import STORIES, Story
from effnet.runs import grid_runs, runs_below
from effnet.verdicts.finding import BASES, HOW_TO_GET_REAL_DATA, PUBLISHED, SET, SYMBOLS
from effnet.verdicts.profile import command_profile, data_label, is_real, read_profile
from effnet.verdicts.summary import counts, headline, tally

# The chapter that shows what a notebook makes beyond the thesis's figures.
CHAPTER_OF = {"00": "2", "01": "3", "02": "5", "03": "6", "04": "6", "05": "6"}
# In figures.csv: what is drawn from the profile's own images and runs.
FROM_DATA = {"runs", "images", "trained models"}


@dataclass
class Section:
    """A section of the thesis, with what the page shows under its heading.

    Attributes:
        number: as in the thesis.
        title: in our words.
        story: what it says and what to take from it.
        key: the claims that the story hangs on.
        claims: the thesis's claims of the section.
        findings: what the kit found about the thesis there (contradictions and so on).
        tally: how its claims came out, in a line.
        figures: the thesis's, in order.
        extras: what a chapter's notebooks make beyond them.
    """

    number: str
    title: str
    story: Story
    key: list[dict[str, str]] = field(default_factory=list)
    claims: list[dict[str, str]] = field(default_factory=list)
    findings: list[dict[str, str]] = field(default_factory=list)
    tally: str = ""
    figures: list[Item] = field(default_factory=list)
    extras: list[Item] = field(default_factory=list)


def gather(
    reports: Path,
    claims: pd.DataFrame,
    notebooks: dict[str, set[str]],
    damaged: list[tuple[str, str]],
) -> dict[str, Any]:
    """Everything the templates need.

    Args:
        reports: the profile's folder.
        claims: the judged claims.
        notebooks: executed notebooks that were exported, each with the tags of its cells.
        damaged: those that could not be, each with the reason.
    """
    everything, failures = runs_below(reports), find_failures(reports)
    # Before there is a grid, what a notebook trained by itself is all there is.
    runs = grid_runs(reports, states=None) if failures.grid[1] else everything
    # Those are listed with the damaged files.
    everything, runs = (table[table["state"] != "damaged"] for table in (everything, runs))
    context = Context(
        names={run["trial_id"]: run_label(run) for run in everything.to_dict("records")},
        notebooks=notebooks,
        failed={notebook["name"]: notebook["begun"] for notebook in failures.notebooks},
        damaged=failures.damaged,
        left_out={n: g for n, g in GROUPS.items() if failures.groups and g not in failures.groups},
    )
    failures.damaged += damaged
    profile = read_profile(reports)
    rows = claims.to_dict("records")
    for row in rows:
        row["symbol"], row["tone"] = SYMBOLS[row["verdict"]], slug(row["verdict"])
        row["aside"] = ""
        row["expected"], row["exact"] = short(row["expected"]), short(row["exact"])
        # Beside a figure the badge says it; the table of all claims keeps the whole comment.
        row["comment"] = row["found"].removesuffix(HOW_TO_GET_REAL_DATA).rstrip(". ")
    chapters = _chapters(reports, rows, context, is_real(profile))
    figures = [item for s in _sections(chapters) for item in s.figures]
    counted = counts(claims)
    return {
        "name": reports.name,
        "source": command_profile(reports),
        "profile": profile,
        "demo": any(item.origin.get("demo") for item in figures)
        or profile.get("data", {}).get("name") == "demo",
        "real": bool(profile.get("data", {}).get("complete")),
        "claims": rows,
        "headline": headline(claims, data_label(profile)),
        "expected": expected_runs(runs) if is_real(profile) else "",
        "counts": counted.to_dict("records"),
        "verdicts": [
            {
                "verdict": verdict,
                "symbol": symbol,
                "tone": slug(verdict),
                "count": int(counted[verdict].sum()),
            }
            for verdict, symbol in SYMBOLS.items()
            if counted[verdict].any()
        ],
        "bases": BASES,
        "chapters": chapters,
        "thesis": thesis,
        "opening": sentences(reports, claims, profile),
        "comparison": comparison(runs[runs["state"] == "finished"], profile),
        "map": claim_map(chapters, rows),
        "wrong": [row for row in rows if row["kind"] != "claim"],
        "figures_made": sum(bool(item.drawing) for item in figures),
        "figures_all": len(figures),
        "runs": run_rows(runs),
        "other_runs": len(everything) - len(runs),
        "executions": execution_sets(runs),
        "execution_note": EXECUTION_NOTE,
        "notebooks": sorted(notebooks),
        "failures": failures,
    }


def expected_runs(runs: pd.DataFrame) -> str:
    """How many of the published runs were trained here, and how many of them agree."""
    return summary(expectations(runs[runs["state"] == "finished"], published_grid()))


def aside(claim: dict[str, str], real: bool) -> str:
    """What a reader must know who sees a claim beside a figure that was drawn from our data."""
    if claim["basis"] == PUBLISHED:
        return "Not this picture: it speaks of the published figure."
    if not real and claim["checkable_from"] == "annotations":
        return "Not this picture: all of Stanford Cars was counted, in its annotations."
    if not real and claim["basis"] == SET:
        return "Not this picture: it speaks of the thesis's own setting."
    return ""


def slug(text: str) -> str:
    """Text as a CSS class or anchor."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def short(value: str) -> str:
    """A published value with long fractions cut to four decimals."""
    parts = [part.strip() for part in str(value).split(";")]
    long = re.compile(r"-?\d+\.\d{5,}")
    return "; ".join(f"{float(p):.4f}" if long.fullmatch(p) else p for p in parts)


def _sections(chapters: list[dict[str, Any]]) -> Iterable[Section]:
    return (section for chapter in chapters for section in chapter["sections"])


def _chapters(
    reports: Path,
    claims: list[dict[str, str]],
    context: Context,
    real: bool,
) -> list[dict[str, Any]]:
    sections = {
        s.section: Section(s.section, s.title, STORIES[s.section])
        for s in thesis.sections().itertuples()
    }
    known = thesis.figures()
    for row in known.itertuples():
        item = Item(row.figure, row.title, row.notebook, row.made_from in FROM_DATA)
        item.alt, item.original = f"{row.title}: {row.shows}", row.original
        beside = [c for c in claims if row.figure in c["figure"].split(";")]
        item.claims = [c | {"aside": aside(c, real) if item.from_data else ""} for c in beside]
        fill(item, reports / "figures", context)
        sections[row.section].figures.append(item)
    by_id = {claim["id"]: claim for claim in claims}
    for section in sections.values():
        own = [claim for claim in claims if claim["section"] == section.number]
        section.claims = [claim for claim in own if claim["kind"] == "claim"]
        section.findings = [claim for claim in own if claim["kind"] != "claim"]
        section.key = [by_id[claim] for claim in section.story.key]
        section.tally = tally(section.claims) if section.claims else ""
    for path in sorted(reports.glob("figures/*.json")) + sorted(reports.glob("tables/*.json")):
        if path.stem not in set(known["figure"]):
            item = Item(path.stem, _title(path.stem), "")
            fill(item, path.parent, context)
            item.notebook = item.notebook or "unknown"
            item.from_data = bool(item.origin["data_hash"])
            chapter = CHAPTER_OF.get(item.notebook[:2], "6")
            sections[chapter].extras.append(item)
    heads = [s for s in sections.values() if "." not in s.number]
    shown = list(sections.values())
    return [
        {
            "number": head.number,
            "title": head.title,
            "sections": [s for s in shown if s.number.split(".")[0] == head.number],
            "extras": sorted(head.extras, key=lambda item: (item.notebook, item.id)),
        }
        for head in heads
    ]


def _title(name: str) -> str:
    """A title for what the thesis does not have: `tab_03_best` becomes "Best"."""
    return re.sub(r"^(fig|tab)_(\d\d_)?", "", name).replace("_", " ").capitalize()
