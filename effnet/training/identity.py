"""What a run was made by: the training code, the machine, the commit."""

import ast
import hashlib
import importlib.metadata
import os
import platform
import subprocess
from functools import cache
from pathlib import Path

import effnet
from effnet.paths import PACKAGE, ROOT

# Where the code that trains begins; what it imports inside the package belongs to it.
ENTRY = "effnet.train"


@cache
def code_hash() -> str:
    """Hash of the code that can change a run's numbers, sixteen hexadecimal digits.

    Comments, docstrings, layout, functions' type hints and the words of errors do not count.
    """
    return hash_code(training_code(PACKAGE))


def hash_code(modules: dict[str, str]) -> str:
    """Sixteen hexadecimal digits that change with what these modules do, or with their names."""
    text = "\n".join(f"{name}\n{code}" for name, code in sorted(modules.items()))
    return text_hash(text)[:16]


def training_code(package: Path, entry: str = ENTRY) -> dict[str, str]:
    """Name -> code of every module of `package` that `entry` imports, directly or through others.

    Imports inside functions count as well. The package's own `__init__` does not: it only names
    what is public. Nothing is imported or run. The code is without what can change no number.
    """
    found: dict[str, str] = {}
    todo = [entry]
    while todo:
        name = todo.pop()
        path = _source(package, name)
        if name in found or name == package.name or path is None:
            continue
        behaviour = _Behaviour()
        tree = behaviour.visit(ast.parse(path.read_text(encoding="utf-8")))
        found[name] = ast.unparse(tree)
        todo += [name.rpartition(".")[0], *behaviour.imported]  # its package's __init__ runs first
    return found


class _Behaviour(ast.NodeTransformer):
    """Leaves out docstrings, functions' type hints and errors' words; notes what is imported."""

    def __init__(self) -> None:
        self.imported: list[str] = []

    def visit_Import(self, node: ast.Import) -> ast.AST:
        self.imported += [alias.name for alias in node.names]
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        module = str(node.module)
        self.imported += [module, *(f"{module}.{alias.name}" for alias in node.names)]
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return ast.Pass() if text else self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        return ast.arg(node.arg)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        return ast.Raise(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)


def _source(package: Path, name: str) -> Path | None:
    """File of the module `name` inside the package; None for other packages' and for functions."""
    first, *parts = name.split(".")
    if first != package.name:
        return None
    base = package.joinpath(*parts)
    files = (base / "__init__.py", base.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None)


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
    import torch

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
