"""Which notebooks are chapters, and how git sees them in a real clone."""

import json
import os
import shutil
import subprocess
import sys

import nbformat
import pytest
from jupyter_server.services.contents.filemanager import FileContentsManager

from effnet.errors import EffnetError
from effnet.paths import ROOT
from effnet.report import chapters, runner

NAME = "04_train_scratch.ipynb"
pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="needs git")


@pytest.fixture
def checkout(tmp_path):
    """The kit without git: two of the notebooks, and what the commands need."""
    folder = tmp_path / "a kit"
    shutil.copytree(ROOT / "effnet", folder / "effnet", ignore=shutil.ignore_patterns("__py*"))
    (folder / "notebooks").mkdir()
    for name in (".gitignore", f"notebooks/{NAME}", "notebooks/02_augmentations.ipynb"):
        shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.fixture
def clone(checkout, monkeypatch):
    monkeypatch.setattr(chapters, "ROOT", checkout)
    git(checkout, "init", "--quiet")
    git(checkout, "add", "notebooks", ".gitignore")
    git(checkout, "commit", "--quiet", "-m", "chapters")
    return checkout


def git(folder, *arguments):
    """git with nobody's settings; what it prints."""
    who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    own = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", *who, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | own, capture_output=True, text=True, check=True
    )
    assert not done.stderr, done.stderr
    return done.stdout


def run(folder, command, **options):
    """`python -m effnet.report.chapters` in a checkout: exit code, and all that it says."""
    done = subprocess.run(
        [sys.executable, "-m", "effnet.report.chapters", command], cwd=folder, text=True,
        env=os.environ | {"PYTHONPATH": str(folder)} | options,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


def save_as_lab(path):
    """What JupyterLab saves, and how, where a notebook was run with some kernel of its own."""
    manager = FileContentsManager(root_dir=str(path.parent.parent))
    manager.post_save_hook = "effnet.report.chapters.saved"
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, 1):
        cell.execution_count = count
        cell.outputs = [nbformat.v4.new_output("stream", text=f"cell {count}\n")]
        cell.metadata["execution"] = {"iopub.status.busy": "2026-11-28T12:00:00.000000Z"}
    code[1].metadata |= {"scrolled": True, "jupyter": {"outputs_hidden": True}, "editable": True}
    notebook.cells[0].metadata["jp-MarkdownHeadingCollapsed"] = True
    notebook.metadata.kernelspec = {
        "display_name": "Python 3.13 (cars)", "language": "python", "name": "cars",
    }  # fmt: skip
    notebook.metadata.language_info = {
        "codemirror_mode": {"name": "ipython", "version": 3}, "file_extension": ".py",
        "mimetype": "text/x-python", "name": "python", "nbconvert_exporter": "python",
        "pygments_lexer": "ipython3", "version": "3.13.1",
    }  # fmt: skip
    notebook.metadata["widgets"] = {"application/vnd.jupyter.widget-state+json": {"state": {}}}
    model = {"type": "notebook", "format": "json", "content": notebook}
    manager.save(model, f"notebooks/{path.name}")


def test_a_notebook_that_was_only_run_is_not_changed(clone):
    """Nothing shows, nothing is committed; an edit of a cell does, without the outputs."""
    said = run(clone, "install")
    assert said == (0, "git looks at notebooks without outputs, in this clone (`make unstrip` ends "
                       "that)\n")  # fmt: skip
    assert run(clone, "install") == (0, ""), "said once"
    assert git(clone, "status", "--short", "notebooks") == "", "nothing that is committed"
    for _ in range(2):  # also saved again, after git has looked
        for path in sorted((clone / "notebooks").glob("*.ipynb")):
            save_as_lab(path)
        assert git(clone, "status", "--short", "notebooks") == git(clone, "diff") == ""
    assert not git(clone, "describe", "--always", "--dirty=+").endswith("+\n"), "a run records it"
    git(clone, "commit", "--quiet", "--allow-empty", "--all", "-m", "nothing")
    assert git(clone, "diff", "HEAD~") == ""
    assert "cell 1" in (clone / "notebooks" / NAME).read_text(), "the file has its outputs"

    path = clone / "notebooks" / NAME
    text = path.read_text()
    path.write_text(text.replace('"session.claims()"', '"session.claims()  # mine"'))
    assert text != path.read_text()
    assert git(clone, "status", "--short", "notebooks") == f" M notebooks/{NAME}\n"
    changed = [line for line in git(clone, "diff").splitlines() if line[:1] in "+-"]
    assert len(changed) == 4 and changed[3].strip("+ ") == '"session.claims()  # mine"'
    git(clone, "add", "notebooks")
    staged = json.loads(git(clone, "show", f":notebooks/{NAME}"))
    committed = json.loads(git(clone, "show", f"HEAD:notebooks/{NAME}"))
    assert staged["metadata"] == committed["metadata"]
    assert [c["id"] for c in staged["cells"]] == [c["id"] for c in committed["cells"]]
    assert staged["cells"][:-1] == committed["cells"][:-1]


def test_the_filter_is_removed_and_git_goes_on_without_its_python(clone):
    run(clone, "install")
    before = git(clone, "config", "--local", "--list")
    assert "nbstripout" in before
    save_as_lab(clone / "notebooks" / NAME)
    clean = git(clone, "config", "filter.nbstripout.clean").strip()
    gone = clean.replace(sys.executable, "/no/such/python")
    git(clone, "config", "filter.nbstripout.clean", gone)
    done = subprocess.run(
        ["git", "status", "--short", "notebooks"], cwd=clone, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, f" M notebooks/{NAME}\n")
    done = subprocess.run(["git", "add", "notebooks"], cwd=clone, capture_output=True)
    assert done.returncode == 0
    assert "cell 1" in git(clone, "show", f":notebooks/{NAME}"), "the file as it is, never none"
    code, said = run(clone, "uninstall")
    assert code == 0 and "as they are" in said
    left = git(clone, "config", "--local", "--list")
    assert "nbstripout" not in left and "ipynb" not in left
    assert "ipynb" not in (clone / ".git/info/attributes").read_text()


def test_no_clone_is_no_error(checkout):
    """Unpacked from an archive, also inside somebody's repository; and where git is absent."""
    assert run(checkout, "install") == (0, "")
    assert run(checkout, "install", PATH=os.devnull) == (0, "")
    git(checkout.parent, "init", "--quiet")
    before = (checkout.parent / ".git/config").read_text()
    assert run(checkout, "install") == (0, "")
    assert (checkout.parent / ".git/config").read_text() == before
    code, said = run(checkout, "uninstall")
    assert code == 1 and "no clone of its own" in said and "Traceback" not in said


def test_a_second_worktree_has_the_filter_too(clone, monkeypatch):
    other = clone.parent / "other"
    git(clone, "worktree", "add", "--quiet", other)
    shutil.copytree(clone / "effnet", other / "effnet")
    run(other, "install")
    for folder in (clone, other):
        monkeypatch.setattr(chapters, "ROOT", folder)
        save_as_lab(folder / "notebooks" / NAME)
        assert git(folder, "status", "--short", "notebooks") == ""


def test_strip_mends_what_check_finds(checkout):
    before = {path: path.read_bytes() for path in (checkout / "notebooks").glob("*.ipynb")}
    assert run(checkout, "check") == (0, "")
    save_as_lab(checkout / "notebooks" / NAME)
    copy = checkout / "notebooks" / NAME.replace(".ipynb", "-Copy1.ipynb")
    shutil.copyfile(checkout / "notebooks" / NAME, copy)
    code, said = run(checkout, "check")
    assert code == 1 and said == (
        f"error: notebooks/: outputs, counts or an editor's marks are in {NAME}. `make strip` "
        "takes them out.\n"
    )
    assert run(checkout, "strip") == (0, f"stripped notebooks/{NAME}\n")
    assert run(checkout, "check") == (0, "") == run(checkout, "strip")
    copy.unlink()
    assert before == {p: p.read_bytes() for p in (checkout / "notebooks").glob("*.ipynb")}
    (checkout / "notebooks" / NAME).write_text("{")
    code, said = run(checkout, "check")
    assert code == 1 and f"notebooks/{NAME}" in said and "Traceback" not in said


def test_a_copy_is_no_chapter(tmp_path, monkeypatch):
    real = [path.name for path in chapters.chapters()]
    assert NAME in real and len(real) >= 6
    others = ["04_train_scratch-Copy1.ipynb", "04_Train.ipynb", "4_a.ipynb", "007_a.ipynb",
              "04_.ipynb", "Untitled.ipynb", "04_a.failed.ipynb", "04 a.ipynb"]  # fmt: skip
    for name in [*real, *others]:
        (tmp_path / name).touch()
    assert [path.name for path in chapters.chapters(tmp_path)] == real
    monkeypatch.setattr(runner, "chapters", lambda: chapters.chapters(tmp_path))
    assert runner.find_notebook("04").name == NAME
    for name in ("04_train_scratch-Copy1", f"notebooks/{others[0]}"):
        with pytest.raises(EffnetError, match="no notebook is called"):
            runner.find_notebook(name)
    makefile = (ROOT / "Makefile").read_text()
    shutil.copytree(ROOT / "effnet/grid/profiles", tmp_path / "kit/effnet/grid/profiles")
    shutil.copytree(tmp_path, tmp_path / "kit/notebooks", ignore=lambda *_: {"kit"})
    (tmp_path / "kit/Makefile").write_text(f"{makefile}\nlisted:\n\t@echo $(NOTEBOOKS)\n")
    listed = subprocess.run(
        ["make", "-s", "listed"], cwd=tmp_path / "kit", capture_output=True, text=True, check=True
    )
    reported = [name for name in real if not name.startswith("06")]
    assert [f"{name}.ipynb" for name in listed.stdout.split()] == reported
