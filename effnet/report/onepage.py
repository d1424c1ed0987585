"""A profile on one page of Markdown, `summary.md`, made from its records alone.

Nothing in it says when it was written: equal records give equal bytes.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from effnet import thesis
from effnet.files import Damaged, read_sealed
from effnet.plots.differences import ACCURACY, THEIRS, differences, model_label
from effnet.plots.groups import PUBLISHED, PUBLISHED_BEST, best_of
from effnet.plots.one_factor import WHOLE
from effnet.plots.overview import Line, group_lines
from effnet.plots.scatter import mean_interval
from effnet.report.content import short
from effnet.report.notebooks import write_page
from effnet.runs import read_grid, run_folder
from effnet.trial import Trial
from effnet.verdicts.claims import AS_IN_THESIS, judge
from effnet.verdicts.comparisons import direction
from effnet.verdicts.finding import (
    NEEDS_REAL_DATA,
    OPPOSITE_DIRECTION,
    SAME_DIRECTION,
    WITHIN_SPREAD,
    sentence,
)
from effnet.verdicts.profile import command_profile, is_real, profile_runs, read_profile

DIRECTIONS = {
    SAME_DIRECTION: "as the thesis has it, beyond what chance makes",
    OPPOSITE_DIRECTION: "the other way, beyond what chance makes",
    WITHIN_SPREAD: "no more than chance makes of runs that differ in the seed",
}
LEGEND = DIRECTIONS | {NEEDS_REAL_DATA: "these runs cannot tell"}
# Claims that compare without being one difference: words off the thesis's data, where another
# number than the published one is judged; of ranges the group and the hyperparameter, too.
RANGES = {
    "C081": ("range over dropout rates, pretrained", "pretrained", "dropout_rate"),
    "C082": ("range over weight decays, pretrained", "pretrained", "weight_decay"),
    "C100": ("range over dropout rates, RGB from scratch", "scratch_rgb", "dropout_rate"),
    "C099": ("range over weight decays, RGB from scratch", "scratch_rgb", "weight_decay"),
}
OTHERS = {
    "C079": ("how soon a pretrained network passes all from scratch", "80 % before epoch {}"),
    "C115": ("gap of the two losses early on, RGB's less grayscale's", "{}"),
    "C117": ("images that no run gets right", "{} of one class"),
}
ALSO_UNLIKE = ("batch_norm_momentum", "epochs")  # beside the fields that verdicts ask for


def write_onepage(reports: Path | str, claims: pd.DataFrame | None = None) -> Path:
    """Write `reports`/summary.md from finished runs, profile.json and the judged claims.

    What is missing is left out, or said in words. `claims` as from `judge`, which is asked where
    they are not given. Returns the path. Raises EffnetError and CannotWrite.
    """
    reports = Path(reports)
    claims = judge(reports) if claims is None else claims
    runs, profile = profile_runs(reports), read_profile(reports)
    blocks = [
        _title(reports.name, profile),
        text(profile.get("note", "")),
        _made(reports, runs, profile),
    ]
    if len(runs):
        if (reports / "figures" / "overview.png").exists():
            blocks.append("![Curves of the groups, and differences](figures/overview.png)")
        blocks += ["## What the groups reach", *_groups(runs)]
        blocks += ["## What is compared", *_questions(runs, claims, is_real(profile))]
        blocks += ["## Where it differs from the thesis", _bullets(_unlike(runs, profile))]
    blocks += ["## To get it again", _again(command_profile(reports), runs, profile)]
    path = reports / "summary.md"
    write_page(path, "\n\n".join(block for block in blocks if block) + "\n")
    return path


def text(value: object) -> str:
    """A value as text of Markdown, wherever it stands: no markup, no HTML, one line."""
    line = " ".join(str(value).split()).replace("&", "&amp;")
    line = line.replace("<", "&lt;").replace(">", "&gt;")
    # An underscore inside a word is text anyway.
    line = re.sub(r"[\\`*\[\]|~$#]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", line)
    return re.sub(r"^[-+=]+(?=\s|$)", r"\\\g<0>", line)


def _title(name: str, profile: dict[str, Any]) -> str:
    data = profile.get("data")
    if not data:
        return f"# Profile {text(name)}"
    kind = "demo data (cars drawn by the kit)" if data["name"] == "demo" else text(data["name"])
    of = f"{data['images']:,} images of {data['classes']:,} classes"
    return f"# Profile {text(name)}: {kind}, {of}"


def _made(reports: Path, runs: pd.DataFrame, profile: dict[str, Any]) -> str:
    """What was trained, where, how long and by which code."""
    if runs.empty:
        return "No run is finished yet."
    try:
        planned = len(read_grid(reports))
    except Damaged:
        planned = 0
    trained = f"{len(runs)} of the profile's {planned}" if planned else f"{len(runs)}"
    networks = " and ".join(sorted({model_label(name) for name in runs["model_name"]}))
    machine = profile.get("machine") or _listed(runs["device"])
    clock = f", {_time(profile['seconds'])} by the clock" if profile.get("seconds") else ""
    return (
        f"Finished {'is' if len(runs) == 1 else 'are'} {trained} "
        f"run{'s' * (trained != '1')}: {text(networks)} at "
        f"{_listed(runs['image_size'])} px, on {text(machine)}. Their training took "
        f"{_time(runs['seconds'].sum())}, added up{clock}. Training code "
        f"{text(_listed(runs['code_hash']))}, commit {text(_listed(_commits(runs)))}."
    )


def _commits(runs: pd.DataFrame) -> set[str]:
    records = [read_sealed(run_folder(run) / "trial.json") for _, run in runs.iterrows()]
    return {str(record["environment"].get("commit", "unknown")) for record in records}


def _time(seconds: float) -> str:
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.0f} seconds"


def _groups(runs: pd.DataFrame) -> list[str]:
    head = ("group", "setting", "seeds", "mean, %", "best run, %", f"{PUBLISHED}, best run, %")
    rows = [_group_row(runs, line) for line in group_lines(runs)]
    note = (
        "Best epoch on the validation images, by the thesis's definition (mean of the batches' "
        "accuracies). The mean is over the seeds of the setting, with its 95 % interval; the best "
        "run may have another setting of its group."
    )
    return [_table(head, rows, right=2), note]


def _group_row(runs: pd.DataFrame, line: Line) -> tuple[str, ...]:
    values, first = 100 * line.runs[ACCURACY], line.runs.iloc[0]
    dropout = "no dropout" if pd.isna(rate := first["dropout_rate"]) else f"dropout {rate:g}"
    setting = f"{dropout}, decay {first['weight_decay']:g}, "
    setting += f"up to {first['epochs']:g} epochs"
    mean = f"{values.mean():.1f} ± {mean_interval(values):.1f}" if len(values) > 1 else "–"
    best = line.runs.loc[values.idxmax()] if line.whole else best_of(runs, line.group)
    assert best is not None
    top, published = f"{100 * best[ACCURACY]:.1f} ({text(best['name'])})", "–"
    if not line.whole and line.group not in THEIRS:
        name = PUBLISHED_BEST[line.group]
        known = thesis.published_runs().set_index("run")["max_val_acc"]
        published = f"{100 * known[name]:.1f} ({text(name)})"
    return text(line.label), setting, str(len(values)), mean, top, published


def _questions(runs: pd.DataFrame, claims: pd.DataFrame, real: bool) -> list[str]:
    judged = claims.set_index("id")
    rows: list[tuple[str, ...]] = []
    for row in differences(runs).to_dict("records"):
        published = "–" if pd.isna(row["published"]) else f"{row['published']:+.1f}"
        verdict, here = "not in the thesis", row["missing"]
        if not here:
            low, high = (row["difference"] + sign * row["interval"] for sign in (-1, 1))
            here = f"{row['difference']:+.1f} ({low:+.1f} to {high:+.1f}), {row['over']}"
        if row["claim"]:
            claim = judged.loc[row["claim"]]
            verdict = claim["verdict"]
            if real:
                here += f"; as the thesis compares: {claim['got']}" if claim["got"] else ""
            elif verdict in DIRECTIONS:  # each row of a claim by its own difference
                own = direction(row["difference"], row["interval"])
                verdict = "–" if row["missing"] else own
        rows.append((text(sentence(row["question"])), published, text(here), verdict))
    rows += [_other(claim, judged.loc[claim], real) for claim in (*RANGES, *OTHERS)]
    met = {row[-1] for row in rows}
    legend = [f"*{verdict}*: {words}" for verdict, words in LEGEND.items() if verdict in met]
    note = (
        "Differences and ranges are percentage points of the best validation accuracy, with 95 % "
        "intervals; the published ones compare single best runs."
    )
    head = ("question", PUBLISHED, "here", "verdict")
    return [_table(head, rows), note, f"{'; '.join(legend)}." if legend else ""]


def _other(claim: str, judged: pd.Series, real: bool) -> tuple[str, ...]:
    """A claim that is no single difference; on the thesis's data it is judged as published."""
    got = judged["got"] or "–"
    if real:
        published = f"{short(judged['exact'] or judged['expected'])} {judged['unit']}".strip()
        return text(judged["claim"]), text(published), text(got), judged["verdict"]
    if judged["got"] and claim not in ("C079", "C115"):
        got += f" (by chance {'up to ' * (claim in RANGES)}{judged['tolerance']})"
    if claim in RANGES:
        words, group, parameter = RANGES[claim]
        cells = thesis.heatmaps_exact()
        cells = cells[(cells["group"] == group) & (cells["parameter"] == parameter)]
        best = 100 * cells["max_val_acc_max"]
        published = f"{best.max() - best.min():.1f}"
    else:
        words, published = OTHERS[claim]
        first, *rest = map(float, judged["expected"].split(";"))
        published = published.format(f"{first - sum(rest):g}")
    return text(sentence(words)), text(published), text(got), judged["verdict"]


def _unlike(runs: pd.DataFrame, profile: dict[str, Any]) -> list[str]:
    """What the records show to be another setting than the thesis's."""
    lines, theirs = [], Trial(recipe="thesis").values()
    whole = thesis.annotations()
    for name, count in (("images", len(whole)), ("classes", whole["class_id"].nunique())):
        if (ours := profile.get("data", {}).get(name, count)) != count:
            lines.append(f"{name}: {ours:,} (thesis: {count:,})")
    if (runs["group"] == WHOLE).any():
        lines.append(
            "photographs: cropped to their boxes but for the runs on whole ones (thesis: whole)"
        )
    for field in (*AS_IN_THESIS, *ALSO_UNLIKE):
        values = runs[field].dropna()
        if not (values == theirs[field]).all():
            ours = text(_listed(values.replace("thesis", "its own")))
            known = str(theirs[field]).replace("thesis", "its own")
            lines.append(f"{field.replace('_', ' ')}: {ours} (thesis: {known})")
    return lines or ["nothing that the records show"]


def _again(name: str, runs: pd.DataFrame, profile: dict[str, Any]) -> str:
    command = f"make reproduce PROFILE={name}"
    if profile.get("data", {}).get("name") != "demo":
        command += " STANFORD_CARS=<folder>"
        if len(runs) and (runs["group"] == WHOLE).any():
            command += " STANFORD_CARS_FRAMES=<the same, uncropped>"
    after = "It trains what is missing, and ends with `report.md`, which has all claims and runs."
    return f"```\n{command}\n```\n\n{after}"


def _listed(values: Iterable[Any]) -> str:
    return ", ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in sorted(set(values)))


def _bullets(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]], right: int = 9) -> str:
    """A table whose columns from number `right` on are set to the right."""
    rule = ["---:" if number >= right else "---" for number in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))
