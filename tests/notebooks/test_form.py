"""The notebooks as they are committed; `test_running.py` executes them."""

import ast
import re

import nbformat
import papermill
import pytest

from effnet import thesis
from effnet.paths import PACKAGE, ROOT
from effnet.report.chapters import chapters
from effnet.report.parameters import OWN_PARAMETERS
from effnet.trial import field_help

NOTEBOOKS = chapters()
# The one on a reader's own images is no part of the thesis.
OF_THESIS = [path for path in NOTEBOOKS if path.stem != "06_your_images"]
# What a reader of a notebook meets: the system itself, the report and the figures.
ROOMS = {"report", "plots"} | {path.stem for path in PACKAGE.glob("*.py")}
FIGURES = {
    "03_train_pretrained": {"fig20", "fig21", "fig22", "fig25"},
    "04_train_scratch": {"fig19", "fig26", "fig27", "fig28", "fig29", "fig30", "fig31"}
    | {"published_curve", "one_factor"},
    "05_prediction_matrix": {"fig14", "fig15", "fig16", "fig23", "fig24", "fig32", "fig33"}
    | {"fig34", "patience_heatmaps", "expected_runs", "grid_dropout", "grid_decay", "tab_grid_fits"}
    | {"tab_like_with_like", "grid_noise", "grid_sibling", "overview"},
}


@pytest.mark.parametrize("path", OF_THESIS, ids=lambda path: path.stem)
def test_conventions(path):
    """What a reader and papermill rely on (opening, parameters, short cells, closing)."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert notebook.cells[0].cell_type == "markdown"
    for word in ("Thesis", "claim", "cost", "need"):
        assert word in notebook.cells[0].source, word
    assert "parameters" in code[0].metadata.tags
    assert "Session.open(globals()" in code[1].source
    assert code[-1].source.strip().endswith("session.claims()")
    assert 10 <= len(code) <= 30
    for cell in code[1:]:
        assert len(cell.source.splitlines()) <= 16, cell.source
        assert not re.search(r"^\s*(class|def) ", cell.source, re.M), cell.source
        saved = re.findall(r'session\.save\(.*"(fig\d\d)"', cell.source)
        assert set(saved) <= set(cell.metadata.get("tags", [])), cell.source
    for cell in code:
        assert not cell.outputs and cell.execution_count is None


def test_names_and_order():
    assert [path.stem for path in chapters()] == [
        "00_architecture",
        "01_dataset_eda",
        "02_augmentations",
        "03_train_pretrained",
        "04_train_scratch",
        "05_prediction_matrix",
        "06_your_images",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_import_the_core_the_report_and_the_plots(path):
    code = [c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
    nodes = [node for source in code for node in ast.walk(ast.parse(source))]
    modules = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom):
            plain = node.module == "effnet"
            modules |= {f"effnet.{n.name}" for n in node.names} if plain else {node.module}
    ours = {name.split(".")[1] for name in modules if name.startswith("effnet.")}
    assert "report" in ours and ours <= ROOMS


@pytest.mark.parametrize("name", ["00_architecture", "01_dataset_eda", "02_augmentations"])
def test_notebooks_save_every_figure_under_its_id(name):
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", 4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert "parameters" in cells[0].metadata["tags"]
    assert 15 <= len(cells) <= 25
    assert cells[-1].source == "session.claims()"
    figures = thesis.figures()
    owned = set(figures[figures["notebook"] == name]["figure"])
    tags = {tag: cell.source for cell in cells for tag in cell.metadata.get("tags", [])}
    assert owned <= set(tags)
    for tag, source in tags.items():
        if tag != "parameters":
            call = "session.save(" if tag.startswith("fig") else "session.table("
            assert call in source and f'"{tag}"' in source, tag
            assert len(source.splitlines()) < 12
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


@pytest.mark.parametrize("name", FIGURES)
def test_notebook_is_a_chapter_in_short_cells(name):
    notebook = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata.kernelspec.name == "python3"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert notebook.cells[0].cell_type == "markdown" and code[0].metadata.tags == ["parameters"]
    assert 15 <= len(code) <= 25
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert code[-1].source == "session.claims()"
    for cell in code[1:]:
        long = sum("import" not in line for line in cell.source.splitlines())
        assert long < 12 and "class " not in cell.source.split('"')[0]
    tags = {tag for cell in code for tag in cell.metadata.get("tags", [])}
    assert FIGURES[name] <= tags
    for cell in code[1:]:
        for tag in cell.metadata.get("tags", []):
            assert f'"{tag}"' in cell.source, "a figure cell's tag is the id it saves"


@pytest.mark.parametrize("name", FIGURES)
def test_parameters_are_what_papermill_and_the_trial_know(name):
    found = papermill.inspect_notebook(str(ROOT / "notebooks" / f"{name}.ipynb"))
    assert set(found) - OWN_PARAMETERS <= set(field_help())
    for parameter in found.values():
        assert parameter["help"] and parameter["inferred_type_name"] != "None"
    if name != "05_prediction_matrix":
        assert {"dropout_rate", "epochs", "seed", "tracker"} <= set(found)
        assert ("in_channels" in found) == (name == "04_train_scratch")


def test_figures_of_published_numbers_name_their_files():
    """What figures.csv says that a figure is made from is what its cell tells the session."""
    for row in thesis.figures().itertuples():
        cells = nbformat.read(ROOT / "notebooks" / f"{row.notebook}.ipynb", 4).cells
        tagged = (c.source for c in cells if row.figure in c.metadata.get("tags", []))
        calls = (node for node in ast.walk(ast.parse(next(tagged))) if isinstance(node, ast.Call))
        saved = next(c for c in calls if row.figure in (getattr(a, "value", "") for a in c.args))
        told = {keyword.arg: ast.unparse(keyword.value) for keyword in saved.keywords}
        parts = row.made_from.split(";")
        files = [part for part in parts if part.endswith(".csv")]
        assert all(f"'{file[:-4]}'" in told.get("published", "") for file in files), row.figure
        runs_or_images = len(saved.args) > 3 or "photographs" in told
        own = runs_or_images or not {"published", "images"} & set(told)
        assert own == bool(set(parts) - {*files, "model"}), row.figure
