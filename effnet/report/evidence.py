"""The small files of a finished profile, to commit: what stays when the machine goes.

`python -m effnet.report.evidence keep FROM TO` copies them between two folders of reports: records
of runs with their predictions packed, figures, tables, verdicts and pages; no weights, no
photographs. In a clone, `make report PROFILE=<name>` draws everything of runs again from them.
"""

import argparse
import lzma
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

from effnet.errors import command_line
from effnet.files import atomic_write, digest, read_sealed, write_json, write_sealed
from effnet.grid.profiles import Profile
from effnet.paths import REPORTS, relative
from effnet.report.notebooks import write_page
from effnet.report.output import compact
from effnet.report.records import NOTEBOOKS, from_records
from effnet.report.runner import notebooks_of, run_notebook
from effnet.runs import PACKED, PACKING, load_runs
from effnet.training.status import OUTPUTS, sealed
from effnet.trial import resolve
from effnet.verdicts.profile import command_profile

OF_PROFILE = ("grid.json", "profile.json", "claims.csv", "report.md", "summary.md")
WHOLE = ("trial.json", "status.json", "metrics.csv", "summary.json")
PICTURE = re.compile(r"\[!\[(?P<title>[^]]*)\]\((?P<file>figures/[^)]+)\)\]\((?P=file)\)")
LINK = re.compile(r"(?<!!)\[(?P<title>[^]]*)\]\((?P<file>figures/[^)]+)\)")
NOT_KEPT = "it shows photographs, which are not kept here: `make reproduce` draws it"
assert {*WHOLE, PACKED} >= {*OUTPUTS} - {"best.ckpt"}


def keep(source: Path, target: Path) -> list[Path]:
    """Copy what is small of a profile's finished runs and of what was made of them.

    Runs that list weights among their files are left out: without them they would count as
    damaged (`keep_weights: false` in a group of the profile says that none are kept). Figures
    that show photographs are left out, others become PNG of at most 60 kB. Returns the folders
    of runs written.
    """
    for name in OF_PROFILE:
        if (source / name).exists():
            _copy(source / name, target / name)
    written = []
    for run in load_runs(source, states=("finished",)).to_dict("records"):
        folder, kept = Path(run["path"]), target / "runs" / run["trial_id"]
        if (folder / "best.ckpt").exists():
            continue
        for name in WHOLE:
            _copy(folder / name, kept / name)
        _without_places(kept)
        for path in sorted(folder.glob(PACKED)):
            with atomic_write(kept / f"{path.name}{PACKING}") as temporary:
                temporary.write_bytes(lzma.compress(path.read_bytes(), preset=9))
        written.append(kept)
    for record in sorted(source.glob("figures/*.json")) + sorted(source.glob("tables/*.json")):
        _keep_item(record, target / record.parent.name)
    if (target / "report.md").exists():
        _without_pictures(target / "report.md")
    return written


def _keep_item(record: Path, folder: Path) -> None:
    """A figure as a small PNG, or a table, with its record."""
    about = read_sealed(record)
    if about.get("photographs", True):  # older records do not say
        return
    for path in (record.with_suffix(".png"), record.with_suffix(".csv")):
        if path.exists():
            with atomic_write(folder / path.name) as temporary:
                content = path.read_bytes()
                temporary.write_bytes(compact(content) if path.suffix == ".png" else content)
            about.setdefault("files", {})[path.name] = digest(folder / path.name)
    write_json(folder / record.name, about)


def _without_pictures(page: Path) -> None:
    """Words in place of the pictures and links of a page whose files are not kept beside it."""
    text = page.read_text("utf-8")
    for link, words in ((PICTURE, f"*{NOT_KEPT}*"), (LINK, f"{{}} ({NOT_KEPT})")):
        for shown in link.finditer(text):
            if not (page.parent / unquote(shown["file"])).exists():
                text = text.replace(shown[0], words.format(shown["title"]))
    write_page(page, text)


def redraw(reports: Path) -> None:
    """Run the notebooks of runs on what a clone has of a profile: records, and no images.

    Nothing is done where they have been executed, or where the profile's folder is not the kit's.
    """
    if reports.resolve() != (REPORTS / reports.name).resolve():
        return
    if not any(reports.glob(f"runs/*/*{PACKING}")):
        return
    profile = command_profile(reports)
    for name in notebooks_of(Profile.load(profile)):
        if name[:2] in NOTEBOOKS and not (reports / "notebooks" / f"{name}.ipynb").exists():
            with from_records():
                run_notebook(name, profile)


def _without_places(kept: Path) -> None:
    """Leave out where the images lay and which machine it was: neither counts in a run's id."""
    record, status = (read_sealed(kept / name) for name in ("trial.json", "status.json"))
    if Path(record["trial"]["data_dir"]).is_absolute():
        record["trial"]["data_dir"] = "data/stanford_cars"
    write_sealed(kept / "trial.json", record)
    status["host"], status["pid"] = "", 0
    if "trial.json" in status["outputs"]:
        status["outputs"] |= sealed(kept, ["trial.json"])
    write_sealed(kept / "status.json", status)


def _copy(source: Path, target: Path) -> None:
    with atomic_write(target) as temporary:
        shutil.copyfile(source, temporary)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m effnet.report.evidence", description=__doc__)
    kept = parser.add_subparsers(dest="command", required=True).add_parser("keep")
    kept.add_argument("source", type=resolve)
    kept.add_argument("target", type=resolve)
    options = parser.parse_args()
    folders = keep(options.source, options.target)
    print(f"{len(folders)} runs kept in {relative(options.target)}")


if __name__ == "__main__":
    command_line(main)
