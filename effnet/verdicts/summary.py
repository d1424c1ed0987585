"""The verdicts counted by what they rest on; what the page, the command and the README say."""

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from effnet.verdicts.finding import (
    DECIDED,
    DIFFERS,
    MEASURED,
    NEEDS_REAL_DATA,
    PUBLISHED,
    SET,
    TRAINED,
    VERDICTS,
)

# What a reader may take for a result of the kit, and what is only arithmetic or comparison.
NAMES = {
    TRAINED: "claims about training",
    MEASURED: "measured claims",
    SET: "settings compared",
    PUBLISHED: "recomputed from published numbers",
}


ABOUT_THE_THESIS = "contradictions, confoundings and notes"


def part_of(row: Mapping[str, str]) -> str:
    """The row of `counts` that a claim is counted in."""
    return NAMES[row["basis"]] if row["kind"] == "claim" else ABOUT_THE_THESIS


def counts(table: pd.DataFrame) -> pd.DataFrame:
    """A row per basis of the claims, then one of the kit's findings about the thesis.

    Columns `what`, `claims`, and one per verdict; `table` as from `judge`.
    """
    parts = pd.Series([part_of(row) for row in table.to_dict("records")], index=table.index)
    rows = []
    for name in (*NAMES.values(), ABOUT_THE_THESIS):
        part = table[parts == name]
        found = part["verdict"].value_counts()
        rows.append(
            {"what": name, "claims": len(part)} | {v: int(found.get(v, 0)) for v in VERDICTS}
        )
    return pd.DataFrame(rows)


def tally(claims: Sequence[Mapping[str, str]]) -> str:
    """How a list of claims came out, in a line: "9 claims: 1 reproduced, 8 need real data"."""
    found = Counter(row["verdict"] for row in claims)
    several = {NEEDS_REAL_DATA: "need real data", DIFFERS: "differ"}
    parts = [f"{n} {several.get(v, v) if n > 1 else v}" for v in VERDICTS if (n := found[v])]
    return f"{len(claims)} claim{'s' * (len(claims) != 1)}: {', '.join(parts)}"


def headline(table: pd.DataFrame, label: str) -> list[str]:
    """What was trained and measured, in two sentences; `label` names the data of the runs."""
    rows = counts(table).set_index("what")
    lines = []
    for basis in (TRAINED, MEASURED):
        name, row = NAMES[basis], rows.loc[NAMES[basis]]
        decided = sum(row[verdict] for verdict in DECIDED)
        text = ", ".join(f"{row[v]} {v}" for v in DECIDED if row[v])
        data = f" ({label})" if basis == TRAINED else ""
        lines.append(
            f"Of {row['claims']} {name} {decided} decided{data}{': ' if text else ''}{text}."
        )
    return lines
