"""Figures of runs: every one legible on every size of report, and what seeds add."""

import json
import re

import pandas as pd
import pytest
from fake_runs import fake_run, rewrite
from figure_checks import SOURCE, assert_legible, rows_of, texts
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from effnet import thesis
from effnet.files import read_sealed
from effnet.plots import answers, comparison, curves, dashboard, dataset, groups, heatmaps, listing
from effnet.plots import predictions as pictures
from effnet.plots.drawn_table import drawn_table
from effnet.plots.expected import expectations, expected_figure
from effnet.plots.one_factor import one_factor, one_factor_figure
from effnet.plots.overview import overview_figure
from effnet.plots.published_curve import published_curve
from effnet.plots.published_grid import published_grid
from effnet.plots.style import plain
from effnet.runs import load_runs, runs_below

PUBLISHED = listing.published_settings(thesis.published_runs(), thesis.grid())
CELLS, PRINTED = thesis.heatmaps_exact(), thesis.heatmaps()


CLASSES = ["AM General Hummer SUV 2000", "Chevrolet Silverado 1500 Extended Cab 2012"]
# Each would be a broken formula, several lines, no text at all, or endless.
NAMES = [
    r"$\frac{1}{0$ and $x$",
    "$",
    r"costs \$5 or $6",
    "a_b^c %s %(x)d {y}",
    "bell\x07, null\x00",
    "line\nbreak\ttab",
    "Ünï 车 🚗",
    "endless " * 60,
    "x" * 500,
    "_hidden",
]


def every_figure(runs, data_dir, classes=CLASSES):
    """All makers of this file's modules on one table of runs."""
    frozen = groups.best_of(runs, "pretrained_frozen")
    unnamed = groups.published_run(PUBLISHED, "unnamed, figure 25")
    yield curves.schedule(runs, SOURCE, PUBLISHED)
    for group in groups.GRID:
        yield curves.best_of_group(runs, group, SOURCE, PUBLISHED, comparable=True)
    yield curves.charts(runs, SOURCE, PUBLISHED, comparable=True)
    yield curves.four_charts(frozen, "frozen", SOURCE, unnamed, "pretrained_frozen", True)
    yield comparison.side_by_side(runs, ("scratch_rgb", "scratch_gray"), SOURCE)
    yield comparison.side_by_side(runs, ("scratch_rgb", "pretrained"), SOURCE)
    for figure in heatmaps.FIGURES:
        yield heatmaps.regularisation_figure(runs, figure, SOURCE, CELLS, PRINTED)
    yield dashboard.run_table_figure(dashboard.run_table(runs), SOURCE)
    one = groups.best_of(runs, "all")
    yield dashboard.artifacts_figure(dashboard.artifacts(one), one, SOURCE)
    given = answers.answers(runs)
    matrix = answers.correct(given)
    names = [classes[i % len(classes)] for i in range(196)]
    annotations = pd.DataFrame({"class_id": range(196), "class_name": names})
    yield pictures.matrix_figure(matrix, runs, SOURCE)
    columns = thesis.prediction_matrix_runs()
    yield pictures.shares_figure(matrix, runs, SOURCE, columns, PUBLISHED)
    yield pictures.agreement_figure(matrix, runs, SOURCE)
    yield pictures.classes_figure(answers.hardest_classes(given, annotations), SOURCE)
    yield pictures.images_figure(answers.hardest_images(given, annotations), data_dir, SOURCE)
    yield heatmaps.patience_figure(runs, SOURCE, CELLS)
    yield published_curve(runs, thesis.histories(), thesis.grid(), SOURCE)
    yield one_factor_figure(one_factor(runs), SOURCE)
    yield expected_figure(expectations(runs, published_grid()), SOURCE)
    yield overview_figure(runs, SOURCE)


@pytest.mark.parametrize("report", ["demo", "whole_grid"])
def test_every_figure_is_legible_and_names_its_data(report, request, tmp_path):
    for figure in every_figure(request.getfixturevalue(report), tmp_path):
        assert SOURCE in texts(figure)
        assert_legible(figure)
        assert_title_and_legends_apart(figure)
        sizes = [t.get_fontsize() for t in figure.findobj(Text) if t.get_text().strip()]
        assert min(sizes) >= 7.5  # on the page, 850 pixels wide


def assert_title_and_legends_apart(figure):
    """Legends above the panels lie neither on the figure's title nor on the panels."""
    figure.draw_without_rendering()
    title = next((t for t in figure.texts if t.get_text() == figure.get_suptitle()), None)
    for legend in figure.legends if title else ():
        first = title.get_window_extent()
        lines = title.get_text().split("\n")
        bottom = first.y1 - first.height / len(lines)  # what follows the first is empty
        box = legend.get_window_extent()
        assert box.y1 <= bottom + 1, lines[0]
        assert box.y0 >= max(ax.get_tightbbox().y1 for ax in figure.axes) - 6, lines[0]


def test_every_figure_without_any_run_says_so(tmp_path):
    figures = list(every_figure(runs_below(tmp_path), tmp_path))
    assert len(figures) == 28
    for figure in figures:
        assert re.search("no (finished )?runs?|no two runs", texts(figure).lower())
        assert_legible(figure)


@pytest.mark.filterwarnings("ignore:Glyph:UserWarning")
def test_names_of_any_kind_are_shown_as_text(tmp_path):
    for number, name in enumerate(NAMES):
        group = groups.GRID[number % 3] if number < 8 else name
        folder = fake_run(tmp_path, f"run {number}", dropout_rate=number / 20)
        trial = read_sealed(folder / "trial.json")["trial"] | {"optimizer": name}
        rewrite(folder / "trial.json", name=name, group=group, trial=trial)
    runs = load_runs(tmp_path)
    figures = list(every_figure(runs, tmp_path, NAMES))
    figures.append(dataset.own_class_counts(many_classes(), SOURCE))
    figures.append(dataset.own_class_counts(many_classes().query("class_id > 30"), SOURCE))
    figures.append(drawn_table(pd.DataFrame({name: NAMES for name in NAMES[:3]}), "names"))
    for figure in figures:
        FigureCanvasAgg(figure).draw()
    matrix, shown = figures[16], texts(figures[16])
    assert r"\$\frac{1}{0\$ and \$x\$" in shown and "line break tab" in shown
    assert "hidden" in [t.get_text() for t in matrix.legends[0].get_texts()]
    assert max(map(len, shown.splitlines())) < 130


def test_a_dollar_is_drawn_as_a_dollar_and_nothing_else():
    """The same pixels as of the text where nothing is parsed."""
    for name in NAMES[:4]:
        drawn = []
        for text, parse in ((plain(name), True), (name, False)):
            figure = Figure(figsize=(6, 1))
            figure.text(0, 0.5, text, parse_math=parse)
            canvas = FigureCanvasAgg(figure)
            canvas.draw()
            drawn.append(bytes(canvas.buffer_rgba()))
        assert drawn[0] == drawn[1], name


def many_classes():
    """Annotations whose outliers are called by names of any kind."""
    rows = [(i, f"class {i}") for i in range(40) for _ in range(10 + i % 2)]
    rows += [(40 + i, name) for i, name in enumerate(NAMES[:3]) for _ in range(60 + 10 * i)]
    table = pd.DataFrame(rows, columns=["class_id", "class_name"])
    return table.assign(split="train")


# -- seeds


def test_spread_counts_other_seeds_of_one_setting_only(seeds, demo, tmp_path):
    settings, width = groups.seed_spread(seeds)
    assert settings == 1 and width == pytest.approx(0.03)
    assert groups.seed_spread(demo)[0] == 0
    assert "unknown" in groups.spread_note(demo)
    twin = fake_run(tmp_path, "a", "pretrained", 0.80)
    record = json.loads((twin / "trial.json").read_text())
    other = fake_run(tmp_path, "b", "pretrained", 0.70)  # the same trial by other code
    assert record["trial"] == json.loads((other / "trial.json").read_text())["trial"]
    assert groups.seed_spread(load_runs(tmp_path))[0] == 0


def test_curves_shade_the_range_of_the_seeds(seeds):
    figure = curves.best_of_group(seeds, "pretrained", SOURCE)
    band = figure.axes[2].collections[0].get_paths()[0].vertices
    runs = [rows_of(run) for _, run in seeds[seeds["name"] != "b"].iterrows()]
    last = [rows[-1]["val_acc_batch_mean"] for rows in runs]
    at_end = band[band[:, 0] == len(runs[0]) - 1][:, 1]
    assert at_end.min() == pytest.approx(min(last)) and at_end.max() == pytest.approx(max(last))
    assert "3 seeds" in texts(figure)
    assert_legible(figure)
