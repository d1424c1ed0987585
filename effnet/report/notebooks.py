"""Executed notebooks as HTML pages with an anchor at every tagged cell."""

import html
import re
from pathlib import Path

from effnet.files import CannotWrite, write_text
from effnet.paths import relative
from effnet.training.identity import text_hash

FAILED = ".failed.ipynb"  # what is kept of a notebook that failed
TEMPLATES = Path(__file__).parent / "templates"
# Text that is no formula whatever it holds, and $...$ or $$...$$ as Jupyter reads them.
CODE = re.compile(r"(<pre\b.*?</pre>|<code\b.*?</code>)", re.DOTALL)
FORMULA = re.compile(r"(?<![\\$])(\$\$?)(?!\s)([^$]+?)(?<![\s\\])\1(?!\d)", re.DOTALL)
# What a page of a notebook may show of the HTML in its texts and outputs.
TAGS = """a abbr b blockquote br caption code col colgroup dd del details div dl dt em figcaption
figure h1 h2 h3 h4 h5 h6 hr i img li ol p pre s small span strong sub summary sup table tbody td
tfoot th thead tr u ul math menclose merror mfenced mfrac mi mmultiscripts mn mo mover mpadded
mphantom mroot mrow ms mspace msqrt mstyle msub msubsup msup mtable mtd mtext mtr munder
munderover semantics""".split()
ATTRIBUTES = """accent align alt class colspan columnalign columnlines columnspacing depth display
displaystyle fence form height id linethickness lspace mathcolor mathsize mathvariant maxsize
minsize movablelimits notation rowlines rowspacing rowspan rspace scriptlevel separator start
stretchy style title width""".split()
UNSEEN = re.compile(r"<(style|script)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)
# Outputs that are scripts, or that need some, are shown as their text.
SHOWN = ["text/html", "text/markdown", "image/svg+xml", "text/latex", "image/png", "image/jpeg"]
SHOWN.append("text/plain")


def export_notebooks(reports: Path) -> tuple[dict[str, set[str]], list[tuple[str, str]]]:
    """Write `notebooks/<name>.html` beside each executed notebook of a profile.

    The pages fetch nothing: their styles are inside, and scripts cannot run in them. A cell with
    a tag (the id of its figure or table) gets the anchor `cell-id=<anchor(tag)>`. Returns the tags
    by notebook, and the notebooks that could not be read, each with the reason.
    """
    exported, damaged = {}, []
    for path in sorted((reports / "notebooks").glob("*.ipynb")):
        if path.name.endswith(FAILED) or path.name.startswith("."):  # hidden: being executed
            continue
        try:
            exported[path.stem] = _export(path)
        except CannotWrite:
            raise
        except Exception as error:  # whatever is in the file: nbformat and nbconvert have many
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            damaged.append((relative(path), f"is no whole notebook ({reason[:200]})"))
            path.with_suffix(".html").unlink(missing_ok=True)  # of an earlier, whole one
    return exported, damaged


def anchor(tag: str) -> str:
    """A cell's tag as its id: itself where it may be one, else readable and still unique."""
    if re.fullmatch(r"[A-Za-z0-9_-]{1,64}", tag):
        return tag
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", tag)[:50].strip("-")
    return f"{readable}-{text_hash(repr(tag))[:12]}"


def _export(path: Path) -> set[str]:
    import nbformat
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter
    from traitlets.config import Config

    notebook = nbformat.read(path, as_version=4)
    tags: set[str] = set()
    for cell in notebook.cells:
        given = cell.metadata.get("tags")
        given = [tag for tag in given if isinstance(tag, str)] if isinstance(given, list) else []
        cell.metadata["tags"] = given  # the template takes them for text
        named = [tag for tag in given if tag != "injected-parameters"]
        if named and named[0] not in tags:
            cell["id"] = anchor(named[0])
            tags.add(named[0])
    exporter = HTMLExporter(
        template_name="notebook",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_anchor_links=True,
        sanitize_html=True,
        config=Config({"NbConvertBase": {"display_data_priority": SHOWN}}),
    )
    styles = {
        "light": HtmlFormatter(style="friendly").get_style_defs(".highlight"),
        "dark": HtmlFormatter(style="github-dark").get_style_defs(".highlight"),
    }
    exporter.register_filter("formulas", formulas)
    exporter.register_filter("clean_html", clean)
    resources = {"metadata": {"name": path.stem}, "pygments": styles}
    page, _ = exporter.from_notebook_node(notebook, resources=resources)
    write_page(path.with_suffix(".html"), page)
    return tags


def write_page(path: Path, text: str) -> None:
    """Write a page; letters that a file name holds and UTF-8 does not become question marks."""
    write_text(path, text.encode("utf-8", "replace").decode("utf-8"))


def clean(page: object) -> str:
    """HTML without anything that runs, loads or leads astray; text and tables stay.

    nbconvert's own list would take tables apart, whose heads it lacks, and formulas. What the
    converter of formulas makes is cleaned too: it copies some of its input as it is.
    """
    import bleach
    from bleach.css_sanitizer import CSSSanitizer

    def allowed(tag: str, name: str, value: str) -> bool:
        if name in ("href", "src"):
            picture = re.match(r"data:image/(png|jpeg|gif|webp);base64,", value)
            return bool(picture) if tag == "img" else not value.lower().startswith("data:")
        return name in ATTRIBUTES

    return bleach.clean(
        UNSEEN.sub("", str(page)),
        tags=TAGS,
        attributes=allowed,
        protocols=["http", "https", "mailto", "data"],
        css_sanitizer=CSSSanitizer(),
        strip=True,
    )


def formulas(page: str) -> str:
    """HTML with its TeX formulas as MathML, which browsers draw without a script or a network.

    A formula that cannot be converted stays as it was typed.
    """
    from latex2mathml.converter import convert

    def mathml(match: re.Match[str]) -> str:
        display = "block" if match[1] == "$$" else "inline"
        try:
            return convert(html.unescape(match[2]), display=display)
        except Exception:  # the converter has many kinds of its own, none of them worth a report
            return match[0]

    parts = CODE.split(page)
    parts[::2] = [FORMULA.sub(mathml, part) for part in parts[::2]]
    return "".join(parts)
