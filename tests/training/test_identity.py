"""Which code counts in a run's id: what training imports, and nothing else."""

import shutil

import grimp
import pytest

from effnet.paths import PACKAGE
from effnet.training.identity import code_hash, hash_code, training_code


@pytest.fixture
def package(tmp_path):
    """A copy of the package, to be changed."""
    ignored = shutil.ignore_patterns("__pycache__")
    return shutil.copytree(PACKAGE, tmp_path / "effnet", ignore=ignored)


def hash_of(package) -> str:
    return hash_code(training_code(package))


def append(path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_the_modules_are_those_that_training_imports():
    """Beside grimp, which import-linter stands on; it leaves out the packages' own files."""
    found = training_code(PACKAGE)
    modules = {name for name in found if not PACKAGE.parent.joinpath(*name.split(".")).is_dir()}
    graph = grimp.build_graph("effnet")
    imported = graph.find_upstream_modules("effnet.train") | {"effnet.train"}
    assert modules == imported - {"effnet"}  # whose __init__ holds names and the version
    assert {"effnet.weights.published", "effnet.fast.warp", "effnet.training"} <= set(found)
    rooms = {name.split(".")[1] for name in found}
    assert not rooms & {"demo", "grid", "plots", "runs", "verdicts", "report"}


def test_a_module_counts_from_its_first_import_on(package):
    before = hash_of(package)
    assert before == code_hash()
    (package / "training" / "extra.py").write_text("FACTOR = 2\n")
    assert hash_of(package) == before  # nobody imports it
    append(package / "loss.py", "\n\ndef f():\n    from effnet.training import extra\n")
    imported = hash_of(package)
    assert imported != before
    (package / "training" / "extra.py").write_text("FACTOR = 3\n")
    assert hash_of(package) not in (before, imported)


@pytest.mark.parametrize("name", ["plots/groups.py", "runs.py", "demo/folder.py", "report/page.py"])
def test_what_training_does_not_import_does_not_count(package, name):
    before = hash_of(package)
    append(package / name, "\nFACTOR = 2\n")
    assert hash_of(package) == before


def test_a_changed_constant_counts_and_changed_words_do_not(package):
    before = hash_of(package)
    augment = package / "augment.py"
    source = augment.read_text()
    for old, new in (
        ("(0.470, 0.460, 0.455)", "(0.470, 0.460, 0.456)"),  # the thesis's mean
        ("DEGREES = 25.0", "DEGREES = 24.0"),
    ):
        assert old in source
        augment.write_text(source.replace(old, new))
        assert hash_of(package) != before, new
    augment.write_text(source + "\n# a comment\n")
    assert hash_of(package) == before
    train = package / "train.py"
    for old in ('"""Train a trial', "the kit makes that checkpoint"):
        assert old in train.read_text()
        train.write_text(train.read_text().replace(old, old + " indeed"))
    assert hash_of(package) == before
    hints = "def data_module(trial: Trial) -> CarsDataModule:"
    assert hints in train.read_text()
    train.write_text(train.read_text().replace(hints, "def data_module(trial: object):"))
    assert hash_of(package) == before
    train.write_text(train.read_text().replace("raise TrialInterrupted", "raise SystemExit"))
    assert hash_of(package) != before  # another exception is caught elsewhere
