"""Executed notebooks as HTML pages with an anchor at every tagged cell."""

import html
import re
from pathlib import Path

from effnet.errors import EffnetError
from effnet.files import write_text
from effnet.paths import relative

TEMPLATES = Path(__file__).parent / "templates"
# Text that is no formula whatever it holds, and $...$ or $$...$$ as Jupyter reads them.
CODE = re.compile(r"(<pre\b.*?</pre>|<code\b.*?</code>)", re.DOTALL)
FORMULA = re.compile(r"(?<![\\$])(\$\$?)(?!\s)([^$]+?)(?<![\s\\])\1(?!\d)", re.DOTALL)


def export_notebooks(reports: Path) -> dict[str, set[str]]:
    """Write `notebooks/<name>.html` beside each executed notebook of a profile.

    The pages fetch nothing: their styles are inside, and there are no scripts. A cell with a tag
    (the id of its figure or table) gets the anchor `cell-id=<tag>`. Returns the tags by notebook.
    """
    exported = {}
    for path in sorted((reports / "notebooks").glob("*.ipynb")):
        if path.name.endswith((".partial.ipynb", ".failed.ipynb")):
            continue
        exported[path.stem] = _export(path)
    return exported


def _export(path: Path) -> set[str]:
    import nbformat
    from nbconvert import HTMLExporter
    from pygments.formatters import HtmlFormatter

    try:
        notebook = nbformat.read(path, as_version=4)
    except (ValueError, OSError) as error:
        raise EffnetError(
            f"{relative(path)} is not a readable notebook ({error}): remove it and run it again."
        ) from error
    tags = set()
    for cell in notebook.cells:
        named = [tag for tag in cell.metadata.get("tags", []) if tag != "injected-parameters"]
        if named and named[0] not in tags:
            cell["id"] = named[0]
            tags.add(named[0])
    exporter = HTMLExporter(
        template_name="notebook",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_anchor_links=True,
    )
    styles = {
        "light": HtmlFormatter(style="friendly").get_style_defs(".highlight"),
        "dark": HtmlFormatter(style="github-dark").get_style_defs(".highlight"),
    }
    exporter.register_filter("formulas", formulas)
    resources = {"metadata": {"name": path.stem}, "pygments": styles}
    page, _ = exporter.from_notebook_node(notebook, resources=resources)
    write_text(path.with_suffix(".html"), page)
    return tags


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
