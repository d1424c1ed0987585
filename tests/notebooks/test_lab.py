"""A notebook in a real JupyterLab and a real browser: edited, run, interrupted, resumed, saved."""

import re
import shutil

import pytest
from browser import CHROMIUM

pytest.importorskip("playwright")

from lab import git, make_clone, opened, serving
from playwright.sync_api import expect

NAME = "03_train_pretrained.ipynb"
EPOCHS = 10  # as many as early stopping waits for: it ends none of them
LINE = rf"epoch +(\d+)/{EPOCHS}  loss .* s"
FIGURES = ["run_03", "fig20", "fig21", "fig22", "fig25"]
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and shutil.which("git")), reason="needs chromium and git"
)


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return make_clone(tmp_path_factory.mktemp("lab") / "a kit")


@pytest.fixture(scope="module")
def notebook(clone):
    with serving(clone, clone.parent / "home") as address, opened(address, NAME) as notebook:
        expect.set_options(timeout=60_000)
        yield notebook


def test_a_parameter_is_edited_and_a_training_interrupted_and_resumed(clone, notebook):
    last, training = notebook.cell("session.claims()"), notebook.cell("run = session.run()")
    before = {
        "profile": notebook.edit("profile", 'profile = "smoke"'),
        "epochs": notebook.edit("epochs", f"epochs = {EPOCHS}"),
    }
    notebook.menu("Run", "Run All Cells")
    training.scroll_into_view_if_needed()
    banner = notebook.cell("Session.open(").locator('[data-mime-type$="stdout"]')
    expect(banner).to_contain_text(f"overridden: epochs={EPOCHS}; figures go to reports/smoke/")
    expect(banner).to_contain_text("profile smoke: Smoke results")
    # Seen at once, where `expect` looks every second: a fast machine would be at the end by then.
    for shown in (r"\d+%\|", rf"epoch +2/{EPOCHS} .* at most 0:00:\d\d left"):  # the bar, a line
        training.filter(has_text=re.compile(shown)).wait_for(state="attached")

    notebook.menu("Kernel", "Interrupt Kernel")
    error = training.locator('[data-mime-type$="stderr"]')
    expect(error).to_have_count(1)
    said = re.fullmatch(
        rf"TrialInterrupted: trial epochs={EPOCHS} stopped by a signal after (\d+) of {EPOCHS} "
        r"epochs\. To go on from there, run the same cell .*; the run is in reports/smoke/runs/.*",
        error.text_content().strip(),
    )
    assert said, error.text_content()
    done = int(said[1])
    # Ctrl-C may come while the epoch that was just told is being written: it is trained again.
    told = epochs(training)
    assert told == list(range(1, len(told) + 1)) and len(told) - 1 <= done <= len(told)
    assert 1 <= done < EPOCHS
    expect(last.locator(".jp-InputPrompt")).to_have_text("[ ]:")  # no cell after it was run

    notebook.menu("Run", "Run All Cells")
    expect(last.locator(".jp-InputPrompt")).to_have_text("[*]:")
    expect(last.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\d"), timeout=120_000)
    expect(training).to_contain_text(f"epochs={EPOCHS}: resuming after epoch {done}/{EPOCHS}")
    assert epochs(training) == list(range(done + 1, EPOCHS + 1)), "no epoch is trained again"
    everything_is_shown(notebook)
    saving_is_no_change_but_the_edit(clone, notebook, before)


def epochs(training):
    """The epochs whose lines are shown."""
    return [int(number) for number in re.findall(LINE, training.text_content())]


def everything_is_shown(notebook):
    """Figures, captions and the closing table; no text that is cut, no error, nothing undefined."""
    assert notebook.outputs("stderr").all_text_contents() == []
    assert all(re.fullmatch(r"\[\d+\]:", prompt) for prompt in notebook.prompts.all_text_contents())
    pictures = notebook.outputs("image/png").locator("img")
    widths = pictures.evaluate_all("all => all.map((image) => image.naturalWidth)")
    assert len(widths) == len(FIGURES) and min(widths) > 300, widths
    captions = " ".join(notebook.outputs("markdown").all_text_contents())
    assert all(f"{name}. " in captions for name in FIGURES)
    cells = notebook.outputs("text/html").locator("th, td").all_text_contents()
    wrong = [text for text in cells if re.search(r"…|\.\.\.$|^(NaN|<NA>)$", text.strip())]
    assert len(cells) > 300 and not wrong
    table = notebook.cell("session.claims()").locator("table")
    table.scroll_into_view_if_needed()
    expect(table).to_be_visible()
    heads = [text.strip() for text in table.locator("thead th").all_text_contents()]
    assert {"claim", "thesis", "here", "verdict"} < set(heads)
    verdicts = table.locator(f"tbody td:nth-child({heads.index('verdict') + 1})")
    expect(verdicts.filter(has_text="reproduced")).not_to_have_count(0)
    expect(verdicts.filter(has_text="needs real data")).not_to_have_count(0)


def saving_is_no_change_but_the_edit(clone, notebook, before):
    """git sees the two lines that were edited, and nothing once they are as they were."""
    path = f"notebooks/{NAME}"
    notebook.save()
    assert '"image/png"' in (clone / path).read_text(), "the file has its outputs"
    assert git(clone, "status", "--porcelain") == f" M {path}\n"
    assert git(clone, "diff", "--numstat") == f"2\t2\t{path}\n"
    for name, line in before.items():
        notebook.edit(name, line)
    expect(notebook.unsaved).not_to_have_count(0)
    notebook.save()
    assert '"image/png"' in (clone / path).read_text()
    assert git(clone, "status", "--porcelain") == ""
