"""Notebooks 00 to 02 as they are committed; the runner's tests execute them."""

import nbformat
import pytest

from effnet import thesis
from effnet.paths import ROOT


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
