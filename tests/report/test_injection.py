"""Text that comes from data is shown as text, on every page and in every table of the report."""

import html
import json
import re

import mistune
import nbformat
import pandas as pd
import pytest
from browser import CHROMIUM, probe
from fake_results import fake_figure, fake_table
from fake_runs import fake_run, rewrite
from pages import chromium, opened
from report_site import PIXEL, Page, broken_links

from effnet.files import read_sealed
from effnet.report.markup import clean, formulas
from effnet.report.notebooks import anchor, export_notebooks
from effnet.report.page import build_report
from effnet.runs import load_runs
from effnet.spreadsheet import as_written, write_csv

ATTACK = "<script>window.attacked = 1</script><img src=x onerror='window.attacked = 1'>"
NAMES = [
    ATTACK,
    "a|b `c` *d* _e_ # f",
    "[x](javascript:attacked=1) ![y](//host/z)",
    "two\nlines\n\n# head",
    "'\"</td></table>",
]
TAGS = ["my figure", 'a"b', "<i>", "x#y?z%20", "bild ü", "ü", "a b", "a-b", "x" * 200]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    reports = tmp_path_factory.mktemp("reports") / "demo"
    for number, name in enumerate(NAMES):
        folder = fake_run(reports, f"run {number}", classes=8)
        trial = read_sealed(folder / "trial.json")["trial"] | {"optimizer": name}
        rewrite(folder / "trial.json", name=name, group=name, trial=trial)
        state = "failed" if number == 1 else "finished"
        rewrite(folder / "status.json", state=state, message=name)
    ids = list(load_runs(reports)["trial_id"])
    for figure, name in zip(("fig20", "fig21", "extra & <b>", "fig22"), NAMES, strict=False):
        path = fake_figure(reports, figure, "03_train_pretrained").with_suffix(".json")
        record = json.loads(path.read_text()) | {"caption": name, "device": name, "runs": ids}
        path.write_text(json.dumps(record))
    fake_table(reports, "tab_names", pd.DataFrame({"class": NAMES, NAMES[0]: range(5)}))
    notebook = nbformat.v4.new_notebook(cells=[*cells_of_an_attack(), *tagged_cells()])
    (reports / "notebooks").mkdir()
    nbformat.write(notebook, reports / "notebooks" / "03_train_pretrained.ipynb")
    for tag in TAGS[:2]:
        path = fake_figure(reports, "fig26" if tag == TAGS[0] else "fig27").with_suffix(".json")
        path.write_text(json.dumps(json.loads(path.read_text()) | {"cell": tag}))
    build_report(reports)
    return reports


def cells_of_an_attack():
    new = nbformat.v4
    yield new.new_markdown_cell(ATTACK + "\n\n" + NAMES[2])
    yield new.new_markdown_cell('<meta http-equiv="refresh" content="0;url=x"><base href="//x">')
    yield new.new_markdown_cell(r"$\text{<img/src=x/onerror=attacked=1>}$ $\href{javascript:x}{y}$")
    yield new.new_raw_cell(ATTACK)
    code = new.new_code_cell("x = 1  # " + ATTACK)
    kinds = ["text/html", "text/markdown", "image/svg+xml", "application/javascript", "text/latex"]
    for kind in [*kinds, "text/vnd.mermaid", "application/vnd.jupyter.widget-view+json"]:
        content = ATTACK if kind != "application/javascript" else "window.attacked = 1"
        value = {"model_id": ATTACK} if kind.endswith("json") else content
        code.outputs.append(new.new_output("display_data", {kind: value, "text/plain": "plain"}))
    code.outputs.append(new.new_output("stream", text=ATTACK))
    code.outputs.append(new.new_output("error", ename="E", evalue=ATTACK, traceback=[ATTACK]))
    table = pd.DataFrame({"a": [ATTACK, "1"]})._repr_html_()
    code.outputs.append(new.new_output("display_data", {"text/html": table}))
    code.outputs.append(new.new_output("display_data", {"image/png": PIXEL}))
    yield code
    yield new.new_markdown_cell("A formula: $$\\frac{a}{b} < c$$ and `code < more`")


def tagged_cells():
    return [nbformat.v4.new_code_cell("1", metadata={"tags": [tag]}) for tag in TAGS]


def test_the_pages_hold_no_element_that_the_data_brought(site):
    pages = [*site.glob("*.html"), *site.glob("*/*.html"), *site.glob("runs/*/*.html")]
    assert len(pages) == 2 + len(NAMES)
    for path in pages:
        page, text = Page(path), path.read_text(encoding="utf-8")
        assert page.tags.count("script") == (path == site / "index.html")
        assert page.tags.count("meta") == 4 and "base" not in page.tags
        assert page.handlers == [], path
        assert all(link.split(":")[0] != "javascript" for link in page.links)
        assert all(source.startswith(("data:", "#")) for source in page.sources)
        assert "Content-Security-Policy" in text and broken_links(path) == []


def test_what_a_notebook_shows_is_still_shown(site):
    path = site / "notebooks" / "03_train_pretrained.html"
    page, text = Page(path), path.read_text(encoding="utf-8")
    assert page.tags.count("th") == 4 and page.tags.count("td") == 2
    assert "mfrac" in page.tags and "highlight" in text and "<code>code &lt; more</code>" in text
    assert f"data:image/png;base64,{PIXEL}" in text and "data:image/svg+xml;base64," in text
    assert "window.attacked = 1" in text  # as text


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
def test_nothing_of_it_runs_in_a_browser(site, tmp_path):
    for path in (next(site.glob("runs/*/index.html")), next(site.glob("notebooks/*.html"))):
        assert probe(path, 800, tmp_path)["attacked"] == 0
    # Nor if the cleaning had a hole: the page's policy stops it.
    hole = site / "notebooks" / "hole.html"
    text = next(site.glob("notebooks/03*.html")).read_text(encoding="utf-8")
    hole.write_text(text.replace("<main>", f"<main>{ATTACK}", 1), encoding="utf-8")
    seen = probe(hole, 800, tmp_path)
    hole.unlink()
    assert seen["attacked"] == 0 and "problems" in seen


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
def test_the_pages_own_script_runs_under_its_policy(site):
    with chromium() as browser, opened(browser, site / "index.html") as seen:
        seen.page.fill("#find", "savana")
        assert 0 < seen.page.locator("#hits a").count() < 10
        assert not seen.page.evaluate("window.attacked") and seen.said == seen.requests == []


def test_markdown_shows_the_names_as_they_are(site):
    text = (site / "report.md").read_text(encoding="utf-8")
    page = mistune.html(text)
    plain = mistune.create_markdown(escape=False, plugins=["table"])(text)
    assert "<script" not in page and "javascript:attacked" not in re.sub(r">[^<]*", ">", plain)
    assert not re.search(r"<img[^>]+//host", plain) and "<em>d</em>" not in plain
    rows = [line for line in text.split("## Runs")[1].splitlines() if line.startswith("| \\[")]
    rows += [line for line in text.split("## Runs")[1].splitlines() if line.startswith("| [")]
    assert len(rows) == len(NAMES)
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {12}
    shown = html.unescape(re.sub(r"<[^>]+>", "", plain))
    assert [name for name in NAMES if " ".join(name.split()) not in shown] == []


def test_any_tag_is_an_anchor_of_its_own(site):
    page = Page(site / "notebooks" / "03_train_pretrained.html")
    ids = [f"cell-id={anchor(tag)}" for tag in TAGS]
    assert len(set(ids)) == len(TAGS) and set(ids) <= set(page.ids)
    assert all(re.fullmatch(r"[\w=-]{1,80}", one, re.ASCII) for one in ids)
    assert anchor("fig20") == "fig20"
    links = Page(site / "index.html").links
    assert f"notebooks/03_train_pretrained.html#cell-id={anchor('my figure')}" in links


def test_formulas_are_cleaned_too():
    page = clean(formulas(r"<p>$\text{<img/src=x/onerror=alert(1)>} \frac{1}{2}$</p>"))
    assert "onerror" not in page and "<mfrac>" in page
    assert "javascript" not in clean(formulas(r"<p>$\href{javascript:alert(1)}{x}$</p>"))


def test_tags_of_any_kind_do_not_stop_the_export(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=tagged_cells())
    text = json.loads(nbformat.writes(notebook))
    text["cells"][0]["metadata"]["tags"] = [1, None, {"a": 2}]
    text["cells"][1]["metadata"]["tags"] = "not a list"
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "a.ipynb").write_text(json.dumps(text))
    exported, damaged = export_notebooks(tmp_path)
    assert exported["a"] == set(TAGS[2:]) and damaged == []


@pytest.mark.parametrize("cell", ["=1+1", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "'=1", "=x"])
def test_a_spreadsheet_runs_nothing(tmp_path, cell):
    table = pd.DataFrame(
        {"text": [cell, "plain", "-0.5", "+3", "-1.5e-3"], cell: [-1, 2, -3, 4, 5]}
    )
    write_csv(tmp_path / "t.csv", table)
    rows = pd.read_csv(tmp_path / "t.csv", dtype=str, keep_default_na=False)
    assert rows["text"][0] == f"'{cell}" and list(rows.columns)[1] == f"'{cell}"
    assert list(rows["text"][1:]) == ["plain", "-0.5", "+3", "-1.5e-3"]
    assert list(rows.iloc[:, 1]) == ["-1", "2", "-3", "4", "5"]
    assert [as_written(one) for one in rows["text"]] == list(table["text"])
