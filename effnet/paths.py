"""Where things lie in a checkout of the kit."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
ROOT = PACKAGE.parent
DATA = ROOT / "data"
REPORTS = ROOT / "reports"


def relative(path: Path | str) -> str:
    """A path for messages and records: relative to the checkout where it lies inside it."""
    path = Path(path)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
