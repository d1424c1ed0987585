"""The report: one self-contained page whose links, images and anchors all exist."""

import html
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from fake_runs import fake_profile, fake_profile_json, fake_run
from report_site import MISSING, Page, broken_links, make_site

from effnet import thesis
from effnet.errors import EffnetError
from effnet.files import read_sealed, write_sealed
from effnet.paths import ROOT
from effnet.plots.groups import run_label
from effnet.report import __main__ as command
from effnet.report import page
from effnet.report.content import short
from effnet.report.notebooks import formulas
from effnet.report.page import build_report
from effnet.runs import load_runs, predictions
from effnet.verdicts import __main__ as verdicts_command
from effnet.verdicts.finding import SYMBOLS
from effnet.verdicts.summary import counts, headline


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    return make_site(tmp_path_factory.mktemp("reports") / "demo")


def test_the_page_is_one_file(site):
    page = Page(site / "index.html")
    assert all(s.startswith(("data:", "#")) for s in page.sources)
    text = (site / "index.html").read_text()
    assert not re.search(r"(?:src|url\()\s*=?\s*[\"']?(?:https?:)?//", text)
    assert {link.split("/")[2] for link in page.links if "//" in link} == {"github.com"}
    # 32 figures and one that the thesis does not have; their words are text.
    assert text.count("<svg viewBox") == 33 == text.count("made up for a test</text>")
    assert len(page.ids) == len(set(page.ids))


def test_every_link_leads_somewhere(site):
    assert len(Page(site / "index.html").links) > 200
    assert broken_links(site / "index.html") == []
    for path in [*site.glob("runs/*/index.html"), *site.glob("notebooks/*.html")]:
        assert broken_links(path) == []
        assert all(s.startswith("data:") for s in Page(path).sources)


def test_figures_are_shown_or_listed_as_missing(site):
    text = (site / "index.html").read_text()
    for figure in thesis.figures()["figure"]:
        card = text.split(f'<figure id="{figure}"')[1].split("</figure>")[0]
        assert ("Missing. Notebook" in card) == (figure in MISSING)
        assert ("How it was made" in card) == (figure not in MISSING)
    assert "32 of 34" in text


def test_a_figure_has_its_provenance_claims_and_cell(site):
    card = (site / "index.html").read_text().split('<figure id="fig20"')[1].split("</figure>")[0]
    assert 'href="notebooks/03_train_pretrained.html#cell-id=fig20"' in card
    assert card.count('href="runs/') == 6 and "1 more" in card
    assert 'href="#C071"' in card and "needs real data" in card
    assert f'href="{thesis.IMAGES}image-20200928205945742.png"' in card
    assert "A &lt;b&gt;caption&lt;/b&gt; &amp; more" in card
    other = (site / "index.html").read_text().split('<figure id="fig30"')[1].split("</figure>")[0]
    assert "not executed in this report" in other


def test_a_run_that_is_not_the_profiles_is_counted_and_not_listed(tmp_path):
    fake_profile(tmp_path / "demo", dropout_rates=(0.0,), weight_decays=(0.01,))
    grid = load_runs(tmp_path / "demo")[["name", "group", "trial_id", "state"]]
    write_sealed(tmp_path / "demo/grid.json", {"runs": grid.to_dict("records")})
    count = len(grid)
    page = build_report(tmp_path / "demo").read_text()
    assert page.count('<tr id="run-') == count and "beside them" not in page
    fake_run(tmp_path / "demo", "dropout_rate=0.7", dropout_rate=0.7)
    page = build_report(tmp_path / "demo").read_text()
    assert page.count('<tr id="run-') == count and "1 other run lies beside them" in page
    assert "dropout_rate=0.7" not in page and f"{count + 1} in all" in page
    assert "1 other run lies beside them" in (tmp_path / "demo/report.md").read_text()


def test_all_claims_and_counts_are_shown(site):
    page, text = Page(site / "index.html"), (site / "index.html").read_text()
    claims = pd.read_csv(site / "claims.csv", keep_default_na=False)
    assert set(claims["id"]) <= set(page.ids) and len(claims) == 155
    for row in counts(claims).to_dict("records"):
        for verdict in set(claims["verdict"]):
            part = text.split(f'<th scope="row">{row["claims"]} {row["what"]}</th>')[1]
            cells = re.findall(r'<td class="n">(\d*)</td>', part.split("</tr>")[0])
            assert sum(int(cell or 0) for cell in cells) == row["claims"]
            assert (str(row[verdict]) in cells) == (row[verdict] > 0)
    assert text.count('<a class="dot ') == 155
    kind = text.split('id="wrong-contradiction"')[1].split('id="wrong-note"')[0]
    contradiction = kind.split('<li id="X06"')[1].split("</li>")[0]
    assert "confirmed" in contradiction and 'href="#fig19"' in contradiction
    assert "reproduced" not in contradiction


def test_page_command_readme_and_table_say_the_same(site, capsys):
    """The four places that count verdicts; the demo's counts do not depend on its runs."""
    claims = pd.read_csv(site / "claims.csv", dtype=str, keep_default_na=False)
    verdicts_command.main([str(site)])
    printed = capsys.readouterr().out
    page_text = html.unescape((site / "index.html").read_text())
    places = [
        page_text,
        (site / "report.md").read_text(),
        printed,
        (ROOT / "README.md").read_text(),
    ]
    lines = headline(claims, "demo data")
    assert lines[0] == "Of 53 claims about training 0 decided (demo data)."
    for line in lines:
        assert all(line in " ".join(place.split()) for place in places), line
    for row in counts(claims).to_dict("records"):
        found = {verdict: row[verdict] for verdict in SYMBOLS if row[verdict]}
        said = f"{row['claims']}  {row['what']}: " + ", ".join(f"{n} {v}" for v, n in found.items())
        assert said in printed
        cells = places[1].split(f"| {row['claims']} {row['what']} |")[1].splitlines()[0]
        assert [c.strip() for c in cells.split("|") if c.strip()] == [*map(str, found.values())]
        cells = places[3].split(f"| {row['what']} |")[1].splitlines()[0]
        assert cells.strip(" |") == f"{row['claims']} | " + ", ".join(
            f"{n} {v}" for v, n in found.items()
        )


def test_a_claim_beside_a_smaller_picture_says_so(site):
    text = (site / "index.html").read_text()

    def beside(figure: str, claim: str) -> str:
        card = text.split(f'<figure id="{figure}"')[1].split("</figure>")[0]
        before = card.split('class="beside"')[1].split(f'href="#{claim}"')[0]
        return re.split(r'<span class="(?:aside|label)">', before)[-1]

    for figure, claim in (
        ("fig18", "C026"),
        ("fig34", "C119"),
        ("fig34", "X10"),
    ):
        assert "Not this picture" in beside(figure, claim)
    for figure, claim in (
        ("fig13", "C018"),
        ("fig18", "C028"),
        ("fig34", "C116"),
        ("fig17", "C025"),
        ("fig05", "C007"),
    ):
        assert "Not this picture" not in beside(figure, claim)


def test_demo_results_are_called_so(site):
    text = (site / "index.html").read_text()
    assert "<strong>Demo results.</strong>" in text
    cards = text.split("<figure ")[1:]
    marked = {c.split('"')[1] for c in cards if 'class="demo-mark"' in c.split("</figure>")[0]}
    assert {"fig20", "fig34"} <= marked and not marked & {"fig01", "fig05", "fig10", "fig17"}
    assert "> **Demo results.**" in (site / "report.md").read_text()


def test_real_results_are_not_called_demo(site, tmp_path, monkeypatch):
    claims = pd.read_csv(site / "claims.csv", dtype=str, keep_default_na=False)
    monkeypatch.setattr(page, "write_claims", lambda reports: claims.assign(found=""))
    reports = tmp_path / "thesis"
    shutil.copytree(site, reports)
    for path in reports.glob("*/*.json"):
        path.write_text(path.read_text().replace('"demo": true', '"demo": false'))
    fake_profile_json(reports, "Stanford Cars", 16_185, 196, complete=True)
    text = build_report(reports).read_text()
    assert "Demo results" not in text and "Demo data" not in text
    assert "Not the whole of Stanford Cars" not in text
    fake_profile_json(reports, "Stanford Cars", 6_509, 196)
    assert "Not the whole of Stanford Cars" in build_report(reports).read_text()


def test_the_run_table_leads_to_a_page_per_run(site):
    runs = load_runs(site)
    text = (site / "index.html").read_text()
    for run in runs.to_dict("records"):
        name, label = run["name"], run_label(run)
        link = f'href="runs/{run["trial_id"]}/index.html" title="{name}">{label}</a>'
        assert link in text
        page = (site / "runs" / run["trial_id"] / "index.html").read_text()
        assert f"<h1>{label}</h1>" in page and page.count("<polyline") == 5
        assert "metrics.csv" in page and "weight_decay" in page
        if run["state"] == "finished":
            assert f"<dt>Epochs, from 0</dt><dd>last {run['last_epoch']:g}, lowest" in page
    assert '<th class="n">Last epoch, from 0</th><th class="n">Best epoch, from 0</th>' in text


def test_run_pages_lead_from_the_best_to_the_next(site):
    order = re.findall(r'<tr id="run-(\w+)"', (site / "index.html").read_text())
    for place, run in enumerate(order):
        page = (site / "runs" / run / "index.html").read_text()
        found = [re.findall(rf'href="../(\w+)/index.html" rel="{rel}"', page)
                 for rel in ("prev", "next")]  # fmt: skip
        around = order[max(0, place - 1) : place], order[place + 1 : place + 2]
        assert [names[:1] for names in found] == [*around]


def test_a_run_page_names_what_the_run_confuses(site):
    run = load_runs(site, states=("finished",)).iloc[0]
    answers = predictions(run, "val")
    wrong = answers[~answers["correct"]].groupby(["class_id", "predicted_class_id"]).size()
    page = (site / "runs" / run["trial_id"] / "index.html").read_text()
    table = page.split("Most confused classes</h2>")[1].split("</table>")[0]
    assert [int(n) for n in re.findall(r'<td class="n">(\d+)</td>', table)] == sorted(
        wrong, reverse=True
    )[:10]


def test_notebooks_are_pages_without_scripts(site):
    path = site / "notebooks" / "03_train_pretrained.html"
    page, text = Page(path), path.read_text()
    assert "cell-id=fig20" in page.ids and "script" not in page.tags
    assert text.count("<math") == 2 and "cost $5" in text
    assert not (site / "notebooks" / "04_train_scratch.failed.html").exists()


def test_the_markdown_report_links_to_files_that_exist(site):
    text = (site / "report.md").read_text()
    links = set(re.findall(r"\]\(([^)]+)\)", text))
    links = {link for link in links if not link.startswith("https://github.com/")}
    assert len(links) > 40 and all((site / link).is_file() for link in links)
    assert all(f"| {claim} |" in text for claim in thesis.claims()["id"])
    assert "Missing: notebook 00_architecture" in text
    rows = [line for line in text.split("## All claims\n")[1].splitlines() if line[:3] == "| C"]
    assert len(rows) == 120 and {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {11}


def test_a_profile_without_runs_still_has_a_report(tmp_path):
    (tmp_path / "empty").mkdir()
    text = build_report(tmp_path / "empty").read_text()
    assert "0 of 34" in text and "No runs yet" in text
    assert broken_links(tmp_path / "empty" / "index.html") == []


def test_a_profile_of_one_group_lacks_no_notebook_and_names_its_file(tmp_path):
    reports = fake_profile(tmp_path / "mine", groups=("scratch_rgb",), frozen=False)
    entries = load_runs(reports)[["trial_id", "name", "group", "state"]].to_dict("records")
    entries.append(entries[0] | {"trial_id": "0" * 12, "name": "open", "state": "missing"})
    write_sealed(reports / "grid.json", {"runs": entries})
    about = read_sealed(reports / "profile.json") | {"profile": "my/mine.yaml"}
    write_sealed(reports / "profile.json", about)
    text = build_report(reports).read_text()
    assert "makes it, of runs of the group pretrained, which this profile has not" in text
    assert "03_train_pretrained makes it. " not in text
    assert "04_train_scratch makes it. <a" in text and "Failed" not in text
    assert "make reproduce PROFILE=my/mine.yaml" in text
    markdown = (reports / "report.md").read_text()
    assert "makes it, of runs of the group pretrained, which" in markdown


def test_unfinished_runs_are_listed(tmp_path, monkeypatch, site):
    claims = pd.read_csv(site / "claims.csv", dtype=str, keep_default_na=False)
    monkeypatch.setattr(page, "write_claims", lambda reports: claims)
    folder = fake_run(tmp_path / "demo", "<i>half</i>", state="interrupted")
    for name in ("metrics.csv", "summary.json", "predictions_val.csv"):
        (folder / name).unlink()
    text = build_report(tmp_path / "demo").read_text()
    assert "interrupted" in text and "&lt;i&gt;half&lt;/i&gt;" in text
    assert broken_links(folder / "index.html") == []


def test_bad_input_is_named(tmp_path):
    with pytest.raises(EffnetError, match="nowhere is no folder"):
        build_report(tmp_path / "nowhere")


def test_the_command_says_what_it_wrote(tmp_path, monkeypatch, capsys, site):
    claims = pd.read_csv(site / "claims.csv", dtype=str, keep_default_na=False)
    monkeypatch.setattr(page, "write_claims", lambda reports: claims)
    (tmp_path / "demo").mkdir()
    command.main([str(tmp_path / "demo")])
    assert "index.html" in capsys.readouterr().out


@pytest.mark.parametrize(
    "value, shown",
    [("0.9031956791877748", "0.9032"), ("0.72;0.73", "0.72; 0.73"), ("mean", "mean")]
    + [("76.1;0.123456", "76.1; 0.1235"), ("4258624", "4258624")],
)
def test_short(value, shown):
    assert short(value) == shown


def test_formulas():
    assert formulas("<p>$a &lt; b$</p>").count("<math") == 1
    assert 'display="block"' in formulas("<p>$$x$$</p>")
    for text in ("costs $5 and $6", "<code>$a$</code>", "<pre>$$a$$</pre>", r"<p>\$a\$</p>"):
        assert formulas(text) == text
    assert formulas(r"$\left( x$") == r"$\left( x$"
