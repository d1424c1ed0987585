"""EfficientNet on Stanford Cars: a thesis of 2020, reproduced.

At the top stands the system, in reading order: `model` and `loss`, `augment` and `data`, `trial`
(with `recipe`) and `train`, then `runs` and `inference`; beside them `zoo`, `count`, `thesis`.
Under them: `fast`, `datasets`, `weights`, `training`. Over them: `demo`, `grid`, `plots`, then
`verdicts`, then `report`. Each says in its `__init__` what may be changed there and who may
import it; imports run one way (`make lint` holds that).
"""

import importlib
import os
from typing import Any

__version__ = "0.1.0"

# Read when torch starts its threads: how long they spin before they sleep. With the default, two
# torch processes on two cores were seen to train 25 times slower; with none at all ("PASSIVE") one
# process alone takes 1.7 times as long. 5000 costs nothing alone.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

# Name -> module. Imported on first use, so that `import effnet.errors` does not wait for torch.
_PUBLIC = {
    "EffnetError": "errors",
    "EfficientNet": "model",
    "build_model": "model",
    "LabelSmoothingCrossEntropy": "loss",
    "CarsDataModule": "data",
    "Trial": "trial",
    "run": "demo.inputs",
    "load_runs": "runs",
    "predict": "inference",
    "export": "inference",
    "load_weights": "weights.load",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'effnet' has no attribute {name!r}")
    return getattr(importlib.import_module(f"effnet.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
