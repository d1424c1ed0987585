"""A trial: every hyperparameter of one training run, typed and checked when it is made."""

import dataclasses
import hashlib
import importlib.util
import json
import os
import sys
import typing
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Optional

from effnet.datasets.layouts import TORCHVISION
from effnet.errors import EffnetError
from effnet.paths import ROOT, relative
from effnet.recipe import RECIPES
from effnet.scales import SCALES
from effnet.values import check_value

# Who may be told of a run (`effnet.training.trackers`), and the modules that this takes.
TRACKERS: dict[str, tuple[str, ...]] = {
    "none": (),
    "tensorboard": ("tensorboard",),
    "neptune": ("neptune",),
    "mlflow": ("mlflow", "sqlalchemy", "alembic"),
    "wandb": ("wandb",),
}
# Which networks have published weights of each kind (`effnet.weights.published`).
PUBLISHED = {
    "imagenet": (*(f"b{i}" for i in range(8)), "lite0", "lite1", "lite2"),
    "advprop": tuple(f"b{i}" for i in range(9)),
}
# What EfficientNet alone has, and its value where neither the recipe nor the network says.
EFFICIENTNET: dict[str, float | None] = {
    "width_coefficient": None,
    "depth_coefficient": None,
    "drop_connect_rate": 0.2,
    "padding": None,
    "batch_norm_momentum": 0.01,
    "batch_norm_eps": None,
}
# How the numbers are computed, not which: the same up to rounding.
EXECUTION = (
    "precision", "channels_last", "fused", "resident", "compile", "cuda_graphs", "threads",
    "devices", "num_nodes", "strategy", "sync_batchnorm",
)  # fmt: skip


def _(default: Any, help: str, low: float | None = None, high: float | None = None) -> Any:
    """A field with its help text and closed range."""
    return field(default=default, metadata={"help": help, "low": low, "high": high})


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Every hyperparameter of one run (the thesis's TrialInfo, section 5.5).

    Fields left at None are filled in when the trial is made: by the recipe (`effnet.recipe`), by
    the model's own scale, or not at all where None has a meaning of its own or the model has no
    such thing. Raises EffnetError for an unknown name, a wrong type, a value out of range, or
    values that exclude each other.
    """

    recipe: Literal["thesis", "corrected"] = _("corrected", "whose choices fill the open fields")
    # data
    data_dir: str = _("data/demo", "folder of images; relative paths start at the checkout")
    n_classes: Optional[int] = _(None, "only the first classes by id; None: all", 2)
    max_per_class: Optional[int] = _(None, "at most so many images of a class and split", 1)
    image_size: Optional[int] = _(None, "pixels a side; None: the model's own", 16, 1024)
    in_channels: int = _(3, "3 for RGB, 1 for grayscale")
    crop: Literal["none", "box"] = _("none", "whole photographs, or the annotated boxes")
    crop_margin: float = _(0.0, "margin around the box, as a share of its sides", 0.0, 1.0)
    on_bad_image: Literal["stop", "skip"] = _("stop", "what an unreadable image does")
    validation: Optional[Literal["test", "holdout"]] = _(None, "the split that training watches")
    holdout: float = _(0.1, "share of the training split held out", 0.01, 0.5)
    augment: bool = _(True, "flip and affine on training images (section 5.3)")
    # model
    model_name: str = _("b0", "b0 to b8, l2, lite0 to lite4, torchvision:NAME or timm:NAME")
    width_coefficient: Optional[float] = _(None, "overrides the model's own", 0.1, 10.0)
    depth_coefficient: Optional[float] = _(None, "overrides the model's own", 0.1, 10.0)
    weights: Optional[str] = _(None, "imagenet, advprop, demo or a file; None: from scratch")
    freeze_pretrained_weights: bool = _(False, "train the classifier alone")
    gray_stem: Optional[Literal["refuse", "sum"]] = _(None, "RGB weights on one channel")
    dropout_rate: Optional[float] = _(None, "before the classifier; None: the model's", 0.0, 0.95)
    drop_connect_rate: Optional[float] = _(
        None, "of the last block; grows linearly from 0; None: 0.2", 0.0, 0.95
    )
    padding: Optional[Literal["same", "symmetric"]] = _(None, "TensorFlow's, or k//2")
    batch_norm_momentum: Optional[float] = _(
        None, "PyTorch's sense: weight of the new batch; None: 0.01", 0.0001, 1.0
    )
    batch_norm_eps: Optional[float] = _(None, "None: the checkpoint's, else 1e-3", 1e-12, 1.0)
    normalization: Optional[Literal["thesis", "imagenet", "advprop", "lite", "checkpoint"]] = _(
        None, "mean and deviation of the input"
    )
    # optimisation
    epochs: int = _(150, "at most", 1, 10_000)
    batch_size: int = _(32, "images a step, of all devices together", 1, 65_536)
    optimizer: Literal["adamw", "adam"] = _("adamw", "decay on every parameter")
    initial_lr: float = _(1e-3, "learning rate before any drop", 1e-8, 10.0)
    weight_decay: float = _(0.01, "AdamW's decoupled decay", 0.0, 10.0)
    label_smoothing: float = _(0.1, "epsilon of the loss (section 5.2)", 0.0, 0.99)
    lr_patience: int = _(3, "epochs without improvement before a drop", 0, 10_000)
    lr_factor: float = _(0.1, "of a drop", 0.001, 0.999)
    lr_threshold: float = _(1e-4, "relative improvement that counts", 0.0, 1.0)
    early_stopping_patience: int = _(10, "epochs without improvement before the end", 1, 10_000)
    early_stopping_min_delta: float = _(1e-3, "absolute improvement that counts", 0.0, 10.0)
    epoch_mean: Optional[Literal["batches", "samples"]] = _(None, "how the watched loss averages")
    predict_with: Optional[Literal["last", "best"]] = _(None, "epoch whose weights predict")
    seed: int = _(0, "of initialisation, order, augmentation and dropout", 0, 2**31 - 1)
    # execution
    precision: Literal["32-true", "bf16-mixed"] = _("32-true", "Lightning's name of it")
    channels_last: bool = _(True, "memory format; the same numbers up to rounding")
    fused: bool = _(True, "the optimizer's fused kernel")
    resident: bool = _(True, "all pixels in the GPU's memory, where they fit")
    compile: bool = _(False, "torch.compile the model; pays on GPUs")
    cuda_graphs: bool = _(False, "record a step once and replay it; pays on GPUs at small batches")
    threads: int = _(1, "of the processor's arithmetic; the number changes the rounding", 1, 512)
    devices: int = _(1, "GPUs of a machine that share each batch; without GPUs, processes", 1, 1024)
    num_nodes: int = _(1, "machines that share each batch, with `devices` each", 1, 4096)
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = _(
        "auto", "Lightning's name of it; auto: ddp where there is more than one process"
    )
    sync_batchnorm: bool = _(False, "batch norm over the whole batch, not each device's; on GPUs")

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            self._set(f.name, check_field(f.name, getattr(self, f.name)))
        self._check_model()
        foreign = self.model_name not in SCALES
        for name, value in (EFFICIENTNET | RECIPES[self.recipe]).items():
            if getattr(self, name) is None and not (foreign and name in EFFICIENTNET):
                self._set(name, value)
        if self.normalization == "checkpoint":
            lite = self.model_name.startswith("lite") and self.weights is not None
            own = "advprop" if self.weights == "advprop" else "lite" if lite else "imagenet"
            self._set("normalization", own)
        _, _, resolution, dropout_rate = SCALES.get(self.model_name, (0, 0, 224, None))
        if self.image_size is None:
            self._set("image_size", resolution)
        if self.dropout_rate is None:
            self._set("dropout_rate", dropout_rate)
        if foreign and not self._takes_dropout() and self.dropout_rate is not None:
            raise EffnetError(
                f"dropout_rate is {self.dropout_rate}: {self.model_name} has no dropout. Leave it "
                "at None."
            )
        self._check_weights()
        self._check_processes()

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def _check_model(self) -> None:
        if self.in_channels not in (1, 3):
            raise EffnetError(
                f"in_channels is {self.in_channels}: allowed are 3 (RGB) and 1 (grayscale)."
            )
        library, colon, _ = self.model_name.partition(":")
        if colon and (given := [n for n in EFFICIENTNET if getattr(self, n) is not None]):
            raise EffnetError(
                f"{given[0]} is {getattr(self, given[0])!r}: {self.model_name} keeps its own. "
                "Leave it at None."
            )
        if self.model_name in SCALES:
            return
        from effnet.zoo import LIBRARIES  # with torch, which the names above need not wait for

        if not (colon and library in LIBRARIES):
            others = " and ".join(f"{library}:NAME" for library in LIBRARIES)
            raise EffnetError(
                f"model_name is {self.model_name!r}: allowed are {', '.join(SCALES)}, {others} "
                "(for instance torchvision:resnet50)."
            )

    def _check_weights(self) -> None:
        known = PUBLISHED.get(self.weights or "")
        if known and self.model_name not in known:
            raise EffnetError(
                f"weights is {self.weights!r}, published for {', '.join(known)}; for model_name="
                f"{self.model_name!r} give the path of a checkpoint, or train from scratch "
                "(weights=None; notebook 04)."
            )
        if self.weights is not None and self.weights not in ("demo", *PUBLISHED):
            if not os.path.isfile(resolve(self.weights)):  # False too for what no path can be
                raise EffnetError(
                    f"weights is {self.weights!r}: allowed are imagenet, advprop, demo, None, or "
                    f"the path of a checkpoint; no file is at {resolve(self.weights)}."
                )
        if self.freeze_pretrained_weights and self.weights is None:
            raise EffnetError(
                "freeze_pretrained_weights needs weights (imagenet, advprop, demo or a file)."
            )
        if self.weights is not None and self.in_channels == 1 and self.gray_stem == "refuse":
            raise EffnetError(
                f"weights={self.weights!r} has a stem of 3 channels and in_channels is 1: the "
                "thesis's code fails here. Set gray_stem='sum' (recipe 'corrected' does), or "
                "train from scratch (weights=None; notebook 04)."
            )

    def _check_processes(self) -> None:
        if self.batch_size % self.processes:
            raise EffnetError(
                f"batch_size is {self.batch_size}, the images of a step on all devices together: "
                f"{self.devices} devices x {self.num_nodes} nodes cannot share them evenly. "
                f"Choose a multiple of {self.processes}."
            )
        if self.cuda_graphs and self.processes > 1:
            raise EffnetError(
                f"cuda_graphs is True and the run has {self.processes} processes: allowed is one. "
                "Set cuda_graphs to False, or devices and num_nodes to 1."
            )

    def _takes_dropout(self) -> bool:
        from effnet.zoo import takes_dropout

        try:
            return takes_dropout(self.model_name, self.in_channels, self.side)
        except EffnetError as error:
            raise EffnetError(f"model_name is {self.model_name!r}: {error}") from None

    @classmethod
    def make(cls, values: dict[str, Any], base: dict[str, Any] | None = None) -> "Trial":
        """A trial from a plain dictionary; an unknown name is refused with the allowed ones.

        `base` holds values that count where `values` has no other, and where the model has such a
        thing at all.
        """
        base = {name: value for name, value in (base or {}).items() if name not in values}
        check_fields(base | values)
        if str((base | values).get("model_name", cls.model_name)) in SCALES:
            return cls(**base | values)
        less = {n: v for n, v in base.items() if n not in ("dropout_rate", *EFFICIENTNET)}
        trial = cls(**less | values)
        if base.get("dropout_rate") is None or not trial._takes_dropout():
            return trial
        return cls(**less | values, dropout_rate=base["dropout_rate"])

    def replace(self, **changes: Any) -> "Trial":
        """A copy with other values, checked anew (fields the recipe had filled stay filled)."""
        return Trial.make(changes, base=self.values())

    def values(self) -> dict[str, Any]:
        """Every field, in order of declaration."""
        return dataclasses.asdict(self)

    @property
    def group(self) -> str:
        """The thesis's group that such a run belongs to (sections 6.1 and 6.2)."""
        if self.weights is not None:
            return "pretrained_frozen" if self.freeze_pretrained_weights else "pretrained"
        return "scratch_rgb" if self.in_channels == 3 else "scratch_gray"

    @property
    def processes(self) -> int:
        """How many processes train this one run, each with its share of every batch."""
        return self.devices * self.num_nodes

    @property
    def side(self) -> int:
        """Pixels a side: `image_size`, filled in when the trial was made."""
        assert self.image_size is not None
        return self.image_size

    def path(self) -> Path:
        """The data folder as `resolve` gives it."""
        return resolve(self.data_dir)

    def identity(self, data_hash: str, weights_hash: str | None, code_hash: str) -> str:
        """Twelve hexadecimal digits that stand for the numbers this trial will produce.

        Places (`data_dir`, the path in `weights`) do not count, content does: the hash of the
        data, of the checkpoint and of the training code.
        """
        values = self.values() | {"data_dir": data_hash, "weights": weights_hash}
        values.pop("recipe")  # it has only filled in other fields
        text = json.dumps([values, code_hash], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def check_tracker(tracker: str) -> None:
    """Raise EffnetError for a tracker that the kit does not know, or that is not installed."""
    if tracker not in TRACKERS:
        raise EffnetError(f"tracker is {tracker!r}: allowed are {', '.join(TRACKERS)}.")
    for name in TRACKERS[tracker]:
        found = importlib.util.find_spec(name)
        if found is None or found.origin is None:  # a folder of that name is no package
            raise EffnetError(
                f"tracker is {tracker!r}, which needs the package {name}: it is not installed. "
                f"`{relative(Path(sys.prefix))}/bin/pip install -c constraints.txt -e "
                f"'.[{tracker}]'` in the checkout installs it; tracker='none' needs nothing "
                "(metrics.csv is written in any case)."
            )


def resolve(path: str | Path) -> Path:
    """An absolute path; relative ones start at the checkout, wherever the notebook runs.

    `torchvision:NAME` stays as it is, for it is no folder; one after an @ does not.
    """
    text = os.path.expanduser(path)
    if text.startswith(TORCHVISION):
        name, at, folder = text.partition("@")
        return Path(f"{name}@{resolve(folder)}" if at else name)
    return ROOT / text


def field_help() -> dict[str, str]:
    """Help line of every hyperparameter, for tables and messages."""
    return {name: f.metadata["help"] for name, f in FIELDS.items()}


def check_field(name: str, value: Any) -> Any:
    """The value in the type and range of the trial's field of that name, or EffnetError."""
    return check_value(name, value, HINTS[name], FIELDS[name].metadata)


def check_fields(names: Iterable[str]) -> None:
    """Raise EffnetError for names of no field."""
    if unknown := sorted(set(names) - set(FIELDS), key=str):
        raise EffnetError(
            f"unknown hyperparameter {', '.join(map(repr, unknown))}; allowed are: "
            f"{', '.join(FIELDS)}."
        )


FIELDS = {f.name: f for f in dataclasses.fields(Trial)}
HINTS = typing.get_type_hints(Trial)
