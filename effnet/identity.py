"""What a run was made by: the training code, the machine, the commit."""

import ast
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from functools import cache
from pathlib import Path

import torch

import effnet
from effnet.paths import ROOT

# A change in one of these can change the numbers of a run; plots, reports and tools cannot.
TRAINING_CODE = (
    "artifacts",
    "augment",
    "builder",
    "cache",
    "callbacks",
    "convert",
    "data",
    "depthwise",
    "fold",
    "graphs",
    "images",
    "loss",
    "model",
    "module",
    "squeeze",
    "train",
    "trainer",
    "weights",
    "zoo",
)


@cache
def code_hash() -> str:
    """Hash of the code that trains; comments, docstrings and layout do not count."""
    digest = hashlib.sha256()
    for name in TRAINING_CODE:
        source = (Path(effnet.__file__).parent / f"{name}.py").read_text(encoding="utf-8")
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                if ast.get_docstring(node, clean=False) is not None:
                    node.body[0] = ast.Pass()
        digest.update(ast.unparse(tree).encode())
    return digest.hexdigest()[:16]


@cache
def file_hash(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def commit() -> str:
    """The checkout's commit, with a plus sign where files differ from it; "unknown" without git."""
    try:
        command = ["git", "-C", str(ROOT), "describe", "--always", "--abbrev=12", "--dirty=+"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return result.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def environment() -> dict[str, str | int]:
    """Versions, device, cores and commit, as a run records them."""
    packages = ("torch", "torchvision", "pytorch-lightning", "numpy", "pillow")
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    return {
        "effnet": effnet.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
        "platform": f"{platform.system()} {platform.machine()}",
        "device": device,
        "cores": cores(),
        "threads": torch.get_num_threads(),
    }


def _processor() -> str:
    """The processor's own name where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def text_hash(text: str) -> str:
    """SHA-256 of a text, hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()
