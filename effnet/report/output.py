"""Figures and tables as files, each with a JSON beside it that says what made it; how they show."""

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import PIL.Image
from matplotlib.figure import Figure

from effnet.errors import EffnetError, plain_warnings
from effnet.files import Damaged, atomic_write, digest, read_sealed, write_json
from effnet.report.titles import points_of_curves, titled

DPI = 160  # of the PNG
SCREEN_DPI = 100  # at which a notebook shows it
OCTREE, NO_DITHER = PIL.Image.Quantize.FASTOCTREE, PIL.Image.Dither.NONE
SMALL = 60_000  # bytes of a PNG that is committed
OF_THE_MOMENT = {"version", "commit", "device", "seconds", "created"}  # of a record


def write_figure(fig: Figure, folder: Path, name: str, small: bool = False) -> list[Path]:
    """`<name>.png` and `<name>.svg` in a folder; `small` cuts the PNG down as `compact` does.

    The same figure gives the same bytes. Text in the SVG is text, and its curves say their values.
    """
    png, svg = (folder / f"{name}{suffix}" for suffix in (".png", ".svg"))
    with atomic_write(png) as temporary:
        fig.savefig(temporary, format="png", bbox_inches="tight", dpi=DPI)
        if small:
            temporary.write_bytes(compact(temporary.read_bytes()))
    with atomic_write(svg) as temporary:
        with (
            mpl.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}),
            points_of_curves(fig) as texts,
        ):
            fig.savefig(temporary, format="svg", bbox_inches="tight", metadata={"Date": None})
        temporary.write_text(titled(temporary.read_text("utf-8"), texts), "utf-8")
    return [png, svg]


def compact(png: bytes) -> bytes:
    """A chart's PNG with few colours, and smaller where that is not enough for 60 kB."""
    with PIL.Image.open(io.BytesIO(png)) as picture:
        whole = picture.convert("RGB")
    for scale in (1.0, 0.75, 0.6, 0.5, 0.4):
        size = round(whole.width * scale), round(whole.height * scale)
        scaled = whole.resize(size, PIL.Image.Resampling.LANCZOS) if scale < 1 else whole
        for colours in (128, 64):
            out = io.BytesIO()
            # An octree keeps rare hues apart; a median cut made one orange of two thin curves.
            few = scaled.quantize(colours, OCTREE, dither=NO_DITHER)
            few.save(out, "PNG", optimize=True, dpi=(DPI * scale, DPI * scale))
            if out.tell() <= SMALL:
                return out.getvalue()
    return out.getvalue()


def write_record(paths: list[Path], values: dict[str, Any], keep_equal: bool = False) -> None:
    """The JSON beside the files of a figure or table.

    With `keep_equal` a record of these very files and runs stays as it is, with its time.
    """
    path = paths[0].with_suffix(".json")
    # So that the page can tell what is cut, changed, or of another execution.
    record = values | {"files": {file.name: digest(file) for file in paths}}
    if keep_equal:
        with suppress(Damaged):
            before = read_sealed(path)
            if all(before.get(name) == record[name] for name in record.keys() - OF_THE_MOMENT):
                return
    write_json(path, record)


def blank_missing(table: pd.DataFrame) -> pd.DataFrame:
    """A copy whose missing numbers are empty cells, as in its CSV; None stays: it is a value."""
    table = table.copy()
    for name in table.columns[table.isna().any()]:
        column = table[name].astype(object)
        table[name] = column.where(column.notna() | column.map(lambda value: value is None), "")
    return table


def shown_table(table: pd.DataFrame) -> dict[str, str]:
    """A table as a notebook shows it, and the report's page: without the numbers of its rows."""
    table = blank_missing(table if table.index.name is None else table.reset_index())
    table.columns = [str(column).replace("_", " ") for column in table.columns]
    whole = {"index": False, "max_rows": None, "float_format": _number}
    return {"text/html": table.to_html(**whole), "text/plain": table.to_string(**whole)}


def shown_figure(png: Path) -> Any:
    """A figure as a notebook shows it: the file itself, not another drawing of it, which would take
    three times as long.
    """
    from IPython.display import Image

    with PIL.Image.open(png) as picture:
        width = round(picture.width * SCREEN_DPI / picture.info["dpi"][0])
    return Image(filename=str(png), width=width)


def setup_display() -> None:
    """Crisp inline figures, whole tables, and errors for people without a traceback."""
    from IPython import get_ipython

    plain_warnings()
    pd.set_option("display.max_rows", 250, "display.max_columns", 50, "display.max_colwidth", None)
    pd.set_option("display.html.use_mathjax", False)  # a name with dollars is no formula
    shell = get_ipython()
    if shell is None:
        return
    from matplotlib_inline.backend_inline import set_matplotlib_formats

    set_matplotlib_formats("retina")

    def plain(shell: Any, kind: type, error: Exception, traceback: Any, tb_offset: int = 0) -> None:
        # Still an error to whoever runs the notebook, but one line instead of a traceback.
        shell._showtraceback(kind, error, [f"{kind.__name__}: {error}"])

    shell.set_custom_exc((EffnetError,), plain)


def _number(value: float) -> str:
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"
