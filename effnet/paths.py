"""Where things lie in a checkout of the kit."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data"
REPORTS = ROOT / "reports"
# Folders that the kit fills by itself -> the size of the demo (see `effnet.demo`).
DRAWN = {DATA / "demo": "demo", DATA / "demo_smoke": "smoke"}


def relative(path: Path | str) -> str:
    """A path for messages and records: relative to the checkout where it lies inside it."""
    path = Path(path)
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
