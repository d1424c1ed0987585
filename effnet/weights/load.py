"""Pretrained weights: loaded strictly, frozen, saved."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from effnet.errors import EffnetError
from effnet.files import atomic_write
from effnet.model import EfficientNet
from effnet.paths import DATA
from effnet.weights.formats import our_names, prefix_of, read_tensors, without_prefix
from effnet.weights.published import NAMES, fetch_weights
from effnet.zoo import classifier_name


@dataclass(frozen=True)
class LoadReport:
    """What became of a checkpoint.

    loaded: names in the model (parameters and running statistics) that came from the file.
    left_out: names in the file that were not used: the classifier, and what is not the network's.
    fresh: names in the model that kept their own values.
    notes: what to know about these weights in this model, for a person.
    """

    path: Path
    family: str
    loaded: tuple[str, ...]
    left_out: tuple[str, ...]
    fresh: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        left_out = f", left out {', '.join(self.left_out)}" if self.left_out else ""
        lines = [f"{self.path.name} ({self.family}): {len(self.loaded)} tensors loaded{left_out}"]
        return "\n  ".join([*lines, *self.notes])


def load_weights(
    model: nn.Module,
    source: str | Path,
    *,
    classifier: str = "skip",
    gray_stem: str = "refuse",
    follow_eps: bool = False,
    folder: Path | str = DATA / "weights",
) -> LoadReport:
    """Load a checkpoint strictly: every tensor is used, or named in the report as left out.

    Args:
        model: an EfficientNet, or another network whose own state dict the file holds.
        source: a name of NAMES (fetched into `folder` if need be) or a path. For an EfficientNet
            the file may be efficientnet_pytorch's, torchvision's or timm's (recognised by the
            names in it), or a checkpoint of a run here.
        classifier: "skip" leaves the last layer as it is, as the thesis does; "load" loads it.
        gray_stem: a file for RGB and a model for one channel: "refuse", as the thesis's code
            fails there, or "sum" the filters over RGB, which is the same function on an image
            whose three channels are equal.
        follow_eps: give an EfficientNet's batch norms the eps that the file was trained with.

    Raises:
        EffnetError: file missing or unreadable, a tensor missing, unknown or of another shape.
        The model is unchanged then.
    """
    for option, value, allowed in (
        ("classifier", classifier, ("skip", "load")),
        ("gray_stem", gray_stem, ("refuse", "sum")),
    ):
        if value not in allowed:
            raise EffnetError(f"{option} is {value!r}; allowed are {' and '.join(allowed)}.")
    published = isinstance(source, str) and source in NAMES
    if not published and not Path(source).is_file():
        raise EffnetError(
            f"weights {str(source)!r}: neither a file nor a published checkpoint "
            f"({', '.join(NAMES)})."
        )
    path = fetch_weights(str(source), folder) if published else Path(source)
    tensors = read_tensors(path)
    own = model.state_dict()
    family, names = _names(path, model, own, list(tensors))
    head = classifier_name(model) + "."

    new: dict[str, Tensor] = {}
    left_out, problems = [], []
    for name, tensor in tensors.items():
        ours = names.get(name)
        if ours is None or (ours.startswith(head) and classifier == "skip"):
            left_out.append(name)
        elif ours not in own:
            problems.append(f"{name} has no place in the model")
        else:
            stem = ours == "_conv_stem.weight" and isinstance(model, EfficientNet)
            if stem and tensor.shape[1:2] == (3,) and own[ours].shape[1] == 1:
                if gray_stem == "refuse":
                    raise EffnetError(
                        f"{path}: {name} has filters for 3 channels, the model takes 1. Use "
                        'gray_stem="sum", or an RGB model.'
                    )
                tensor = tensor.sum(1, keepdim=True)
            if tensor.shape != own[ours].shape:
                problems.append(
                    f"{name} has shape {tuple(tensor.shape)}, the model's {ours} "
                    f"{tuple(own[ours].shape)}"
                )
            new[ours] = tensor
    fresh = [name for name in own if name not in new]
    # Older versions of torch did not save the batch counters.
    optional = [n for n in fresh if n.endswith(".num_batches_tracked")]
    optional += [n for n in fresh if n.startswith(head) and classifier == "skip"]
    problems += [f"{name} is missing in the file" for name in fresh if name not in optional]
    if problems:
        more = f", and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise EffnetError(
            f"{path}: these weights do not fit the model: {'; '.join(problems[:5])}{more}. "
            "Choose the file that belongs to this architecture"
            + (", or leave the classifier out." if any(head in p for p in problems) else ".")
        )
    model.load_state_dict(new, strict=False)
    if follow_eps and family == "torchvision" and isinstance(model, EfficientNet):
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = _torchvision_eps(model)
    notes = _notes(model, family, published)
    return LoadReport(path, family, tuple(new), tuple(left_out), tuple(fresh), notes)


def freeze_pretrained(model: nn.Module, report: LoadReport) -> None:
    """Stop the gradient of every parameter that was loaded, batch norm's included.

    As in the thesis's code: the classifier alone trains, the rest stays in train mode, so running
    statistics still move and dropout and drop connect stay on.
    """
    loaded = set(report.loaded)
    parameters = dict(model.named_parameters())
    if parameters.keys() <= loaded:
        raise EffnetError(
            f"every parameter came from {report.path}: freezing them leaves nothing to train. "
            'Load with classifier="skip".'
        )
    for name in parameters.keys() & loaded:
        parameters[name].requires_grad_(False)


def save_weights(model: nn.Module, path: Path | str) -> None:
    """Write the model's state dict, for an EfficientNet in the published format.

    The same weights give the same bytes.
    """
    # A copy, because contiguous() would keep odd strides of dimensions of length 1.
    plain = {"memory_format": torch.contiguous_format}
    state = {
        name: tensor.detach().cpu().clone(**plain) for name, tensor in model.state_dict().items()
    }
    # Through an open file: given a path, torch writes the (temporary) name into the archive.
    with atomic_write(path) as temporary, open(temporary, "wb") as file:
        torch.save(state, file)


def _names(
    path: Path, model: nn.Module, own: dict[str, Tensor], names: list[str]
) -> tuple[str, dict[str, str]]:
    if isinstance(model, EfficientNet):
        try:
            return our_names(names)
        except EffnetError as error:
            raise EffnetError(f"{path}: {error}") from None
    prefix = prefix_of(names, next(iter(own))) or ""
    return type(model).__name__, without_prefix(names, prefix)


def _torchvision_eps(model: EfficientNet) -> float:
    """torchvision gives B0 to B4 (at most 32 blocks) torch's own batch norm settings."""
    return 1e-5 if len(model._blocks) <= 32 else 1e-3


def _notes(model: nn.Module, family: str, published: bool) -> tuple[str, ...]:
    if not isinstance(model, EfficientNet):
        return ()
    notes = []
    if published and model.padding != "same":
        notes.append(f'trained with padding="same", loaded under "{model.padding}"')
    if family == "torchvision":
        if model.padding != "symmetric":
            notes.append(f'trained with padding="symmetric", loaded under "{model.padding}"')
        eps = _torchvision_eps(model)
        if model._bn0.eps != eps:
            note = f"trained with batch_norm_eps={eps}, loaded under {model._bn0.eps}"
            warnings.warn(f"{note}: the outputs will differ", stacklevel=3)
            notes.append(note)
    if family == "timm":
        notes.append(
            'timm\'s tf_ models expect padding="same" and batch_norm_eps=1e-3, its others '
            '"symmetric" and 1e-5; the file does not say which it is'
        )
    return tuple(notes)
