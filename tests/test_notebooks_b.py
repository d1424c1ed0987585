"""The form of the notebooks 03 to 05; elsewhere they are run whole."""

from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
FIGURES = {
    "03_train_pretrained": {"fig20", "fig21", "fig22", "fig25"},
    "04_train_scratch": {"fig19", "fig26", "fig27", "fig28", "fig29", "fig30", "fig31"},
    "05_prediction_matrix": {"fig14", "fig15", "fig16", "fig23", "fig24", "fig32", "fig33"}
    | {"fig34"},
}


@pytest.mark.parametrize("name", FIGURES)
def test_notebook_is_a_chapter_in_short_cells(name):
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
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
    papermill = pytest.importorskip("papermill")
    from effnet.notebook import OWN_PARAMETERS
    from effnet.trial import field_help

    found = papermill.inspect_notebook(str(NOTEBOOKS / f"{name}.ipynb"))
    assert set(found) - OWN_PARAMETERS <= set(field_help())
    for parameter in found.values():
        assert parameter["help"] and parameter["inferred_type_name"] != "None"
    if name != "05_prediction_matrix":
        assert {"dropout_rate", "epochs", "seed", "tracker"} <= set(found)
        assert ("in_channels" in found) == (name == "04_train_scratch")
