"""EfficientNet on Stanford Cars: a thesis of 2020, reproduced."""

import importlib
import os
from typing import Any

__version__ = "0.1.0"

# Read when torch starts its threads. By default they spin while they wait: as soon as anything else
# wants a core, two of them on two cores were seen to train 25 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Name -> module. Imported on first use, so that `import effnet.errors` does not wait for torch.
_PUBLIC = {
    "EffnetError": "errors",
    "EfficientNet": "model",
    "build_model": "model",
    "LabelSmoothingCrossEntropy": "loss",
    "CarsDataModule": "data",
    "Trial": "trial",
    "run": "train",
    "load_runs": "runs",
    "load_weights": "weights",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'effnet' has no attribute {name!r}")
    return getattr(importlib.import_module(f"effnet.{_PUBLIC[name]}"), name)
