"""HTML of notebooks made safe and readable: cleaned, formulas as MathML, numbers aligned."""

import html
import itertools
import re

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
CELL = re.compile(r"<(t[hd])\b([^>]*)>(.*?)</\1>", re.DOTALL)
# What stands in a column of numbers; nothing, too.
NUMBER = re.compile(
    r"([-+−]?(\d[\d,]*)?\.?\d+(e[-+]?\d+)?( ?%)?|nan|-?inf|–|\.\.\.)?", re.IGNORECASE
)


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


def aligned(page: str) -> str:
    """Clean HTML whose tables have one line of heads, numbers and their heads of class `number`."""
    return re.sub(r"<table\b.*?</table>", lambda table: _aligned(table[0]), page, flags=re.DOTALL)


def _aligned(table: str) -> str:
    if "span=" in table:  # a head over several columns
        return table
    rows = _one_head(re.split(r"(?=<tr\b)", table))
    columns: dict[int, list[str]] = {}
    for row in rows:
        for place, cell in enumerate(CELL.finditer(row)):
            if cell[1] == "td":
                columns.setdefault(place, []).append(cell[3].strip())
    numeric = {
        place
        for place, texts in columns.items()
        if any(texts) and all(map(NUMBER.fullmatch, texts))
    }

    def mark(row: str) -> str:
        place = itertools.count()
        return CELL.sub(
            lambda cell: (
                f'<{cell[1]}{cell[2]} class="number">{cell[3]}</{cell[1]}>'
                if next(place) in numeric
                else cell[0]
            ),
            row,
        )

    return "".join(map(mark, rows))


def _one_head(rows: list[str]) -> list[str]:
    """The rows of a table without the line that pandas gives the name of an index alone."""
    if len(rows) < 3:
        return rows
    (first, *_), (name, *rest) = ([c[3] for c in CELL.finditer(row)] or [""] for row in rows[1:3])
    if first or not name or any(rest) or "<td" in rows[2]:
        return rows
    after = rows[2].partition("</tr>")[2]  # the head's end
    return [rows[0], rows[1].replace("></th>", f">{name}</th>", 1) + after, *rows[3:]]


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
