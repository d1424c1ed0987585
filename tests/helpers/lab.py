"""JupyterLab as `make lab` opens it, in a clone of its own, and a user's hands in it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from browser import ALONE, CHROMIUM
from own_checkout import command, make_checkout
from playwright.sync_api import Locator, Page, sync_playwright

from effnet.paths import ROOT

TOKEN = "of-this-test"


def make_clone(folder: Path) -> Path:
    """The kit with its notebooks under git, and with the filter that `make env` sets."""
    make_checkout(folder)
    shutil.copytree(ROOT / "notebooks", folder / "notebooks", ignore=shutil.ignore_patterns(".*"))
    for name in (".gitignore", "Makefile", "constraints.txt", "pyproject.toml"):
        shutil.copyfile(ROOT / name, folder / name)
    (folder / ".venv").symlink_to(sys.prefix)
    git(folder, "init", "--quiet")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "the kit")
    code, said = command(folder, "effnet.report.chapters", "install")
    assert code == 0, said
    return folder


def git(folder: Path, *arguments: str) -> str:
    """git with nobody's settings; what it prints."""
    who = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    own = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, env=own, capture_output=True, text=True, check=True
    )
    return done.stdout


@contextmanager
def serving(clone: Path, home: Path) -> Iterator[str]:
    """The address of the Lab that `make lab` starts there, with settings and history in `home`."""
    own = {name: str(home / name.lower()) for name in (
        "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR",
    )}  # fmt: skip
    own |= {"PYTHONPATH": str(clone)}  # else the environment knows the kit that it was made for
    arguments = f"--no-browser --ServerApp.port=0 --IdentityProvider.token={TOKEN}"
    # The environment is the real checkout's: nothing is installed into it.
    words = ["make", "ENV=.venv", "-o", ".venv/.effnet-ready", "lab", f"ARGS={arguments}"]
    home.mkdir(parents=True)
    log = home / "log"
    with open(log, "w") as output:
        server = subprocess.Popen(
            words, cwd=clone, env=os.environ | own, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        end = time.monotonic() + 60
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/", log.read_text())):
            assert server.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        yield found[0]
    finally:
        os.killpg(server.pid, signal.SIGTERM)  # Lab ends its kernels, which are in other groups
        server.wait(timeout=60)


@contextmanager
def opened(address: str, notebook: str) -> Iterator["Notebook"]:
    """A notebook of a Lab in a headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ALONE)
        page = browser.new_page(viewport={"width": 1400, "height": 1000})
        page.set_default_timeout(60_000)
        page.goto(f"{address}lab/tree/notebooks/{notebook}?token={TOKEN}")
        page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        yield Notebook(page)
        browser.close()


class Notebook:
    """What a user does with an open notebook, and sees of it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.prompts = page.locator(".jp-Notebook .jp-CodeCell .jp-InputPrompt")
        self.unsaved = page.locator(".lm-DockPanel-tabBar .jp-mod-dirty")

    def cell(self, source: str) -> Locator:
        """The code cell with these words in it."""
        editors = self.page.locator(".jp-InputArea", has_text=source)
        return self.page.locator(".jp-Notebook .jp-CodeCell").filter(has=editors)

    def outputs(self, kind: str = "") -> Locator:
        """Everything below the cells, or what is of one type, as "vnd.jupyter.stderr"."""
        suffix = f'[data-mime-type$="{kind}"]' if kind else ""
        return self.page.locator(f".jp-Notebook .jp-OutputArea-output{suffix}")

    def edit(self, name: str, line: str) -> str:
        """Type a line over the one that begins with `name`; returns what stood there."""
        there = self.page.locator(".jp-Notebook .cm-line", has_text=re.compile(rf"^{name}\b"))
        before = there.text_content()
        there.click()
        self.page.keyboard.press("Home")
        self.page.keyboard.press("Shift+End")
        self.page.keyboard.type(line)
        return before

    def menu(self, name: str, item: str) -> None:
        self.page.locator(".lm-MenuBar-item", has_text=re.compile(f"^{name}$")).click()
        self.page.locator(".lm-Menu-itemLabel", has_text=re.compile(f"^{item}$")).click()

    def save(self) -> None:
        self.page.keyboard.press("Control+s")
        self.unsaved.wait_for(state="detached")
