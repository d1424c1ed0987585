"""Checkpoint files of three families, read safely and named as in `effnet.model`.

All three list the same tensors in the same order of blocks; only the names differ. A name that
no rule knows stays as it is, so that the loader reports it instead of losing it.
"""

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from effnet.errors import EffnetError

# A tensor that only this family has, by its name there.
FAMILIES = {
    "efficientnet_pytorch": "_conv_stem.weight",
    "torchvision": "features.0.0.weight",
    "timm": "conv_stem.weight",
}

OUTSIDE_BLOCKS = {
    "torchvision": {
        "features.0.0": "_conv_stem",
        "features.0.1": "_bn0",
        "features.8.0": "_conv_head",
        "features.8.1": "_bn1",
        "classifier.1": "_fc",
    },
    "timm": {
        "conv_stem": "_conv_stem",
        "bn1": "_bn0",
        "conv_head": "_conv_head",
        "bn2": "_bn1",
        "classifier": "_fc",
    },
}

# Within a block that expands; the first stage does not, and numbers its layers one less.
_TORCHVISION_BLOCK = {
    "0.0": "_expand_conv",
    "0.1": "_bn0",
    "1.0": "_depthwise_conv",
    "1.1": "_bn1",
    "2.fc1": "_se_reduce",
    "2.fc2": "_se_expand",
    "3.0": "_project_conv",
    "3.1": "_bn2",
}
_TIMM_SE = {"se.conv_reduce": "_se_reduce", "se.conv_expand": "_se_expand"}
_TIMM_BLOCK = _TIMM_SE | {
    "conv_pw": "_expand_conv",
    "bn1": "_bn0",
    "conv_dw": "_depthwise_conv",
    "bn2": "_bn1",
    "conv_pwl": "_project_conv",
    "bn3": "_bn2",
}
INSIDE_BLOCK = {
    ("torchvision", True): _TORCHVISION_BLOCK,
    ("torchvision", False): {
        f"{int(layer[0]) - 1}{layer[1:]}": ours
        for layer, ours in _TORCHVISION_BLOCK.items()
        if layer[0] != "0"
    },
    ("timm", True): _TIMM_BLOCK,
    ("timm", False): _TIMM_SE
    | {
        "conv_dw": "_depthwise_conv",
        "bn1": "_bn1",
        "conv_pw": "_project_conv",
        "bn2": "_bn2",
    },
}
# Stage, layer in the stage, tensor within the block.
BLOCK_NAME = {
    "torchvision": re.compile(r"features\.(\d+)\.(\d+)\.block\.(.+)"),
    "timm": re.compile(r"blocks\.(\d+)\.(\d+)\.(.+)"),
}
# The projection that only an expanding block has under this name.
EXPANDS = {"torchvision": "3.0.weight", "timm": "conv_pwl.weight"}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by name, from a state dict, a Lightning checkpoint or a .safetensors file.

    Never runs code from the file (`weights_only=True`). Raises EffnetError for a file that is
    missing, damaged, holds other objects, holds no tensors, or holds NaN or infinity.
    """
    if not path.is_file():
        raise EffnetError(f"{path}: there is no such checkpoint file.")
    _require_checksums(path)
    if path.suffix == ".safetensors":
        content: Any = _read_safetensors(path)
    else:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except MemoryError:
            raise  # says nothing of the file
        except Exception as error:  # broken bytes make the unpickler raise nearly every type
            raise EffnetError(
                f"{path}: not a checkpoint of plain tensors ({_reason(path, error)}). It is "
                "damaged, or it holds Python objects that would run code when loaded; save a state "
                "dict instead."
            ) from None
    if isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    tensors = content if isinstance(content, Mapping) else {}
    tensors = {name: value for name, value in tensors.items() if isinstance(value, Tensor)}
    if not tensors:
        raise EffnetError(f"{path}: holds no tensors by name (a state dict was expected).")
    _require_finite(path, tensors)
    return tensors


def _require_checksums(path: Path) -> None:
    """Compare the records of torch's zip format with their checksums, which torch does not."""
    name = ""
    try:
        if not zipfile.is_zipfile(path):
            return  # as torch saved before 1.6, or no checkpoint: the reader will say
        with zipfile.ZipFile(path) as opened:
            for record in opened.infolist():
                name = record.filename
                if record.CRC:  # 0: torch was told to write none
                    with opened.open(record) as content:
                        while content.read(1 << 20):
                            pass
    except Exception as error:  # zipfile raises many types on broken bytes
        where = f"its record {name!r}" if name else "its list of records"
        raise EffnetError(
            f"{path}: not a checkpoint that is whole: {where} is damaged ({error}). Fetch or save "
            "it again."
        ) from None


def _require_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    broken = {}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.layout == torch.strided:
            whole = (
                tensor.float() if tensor.element_size() == 1 else tensor
            )  # 8 bits know no isfinite
            count = tensor.numel() - int(torch.isfinite(whole).sum())
            if count:
                broken[name] = f"{name} ({count:,} of {tensor.numel():,} values)"
    if broken:
        raise EffnetError(
            f"{path}: {len(broken)} of {len(tensors)} tensors hold NaN or infinity, the first is "
            f"{next(iter(broken.values()))}. The training that wrote them diverged, or the file is "
            "damaged: choose another checkpoint."
        )


def _reason(path: Path, error: Exception) -> str:
    """Torch's reason without its advice, which is to run whatever code the file holds."""
    text = str(error).strip()
    if code := re.search(r"GLOBAL (\S+)", text):
        return f"it holds {code[1]}"
    if not path.stat().st_size:
        return "it is empty"
    if isinstance(error, pickle.UnpicklingError) or "weights_only" in text:
        return "it cannot be unpickled"
    return text.splitlines()[0].split(". ")[0] if text else type(error).__name__


def prefix_of(names: list[str], first: str) -> str | None:
    """What stands before `first` in a file's names ("model." in Lightning's), None if absent."""
    for name in names:
        if name == first or name.endswith(f".{first}"):
            return name.removesuffix(first)
    return None


def our_names(names: list[str]) -> tuple[str, dict[str, str]]:
    """The file's family, and the name in `effnet.model` of each tensor of the network.

    Names outside the network (a Lightning module's other buffers) are not in the dictionary.
    Raises EffnetError when the names are of no known family.
    """
    prefixes = {family: prefix_of(names, first) for family, first in FAMILIES.items()}
    found = [(family, prefix) for family, prefix in prefixes.items() if prefix is not None]
    if not found:
        raise EffnetError(
            "these are not an EfficientNet's tensors as efficientnet_pytorch, torchvision or timm "
            f"name them; the first are {', '.join(names[:3])}."
        )
    family, prefix = found[0]
    inside = without_prefix(names, prefix)
    return family, inside if family == "efficientnet_pytorch" else _converted(inside, family)


def without_prefix(names: list[str], prefix: str) -> dict[str, str]:
    """The names that start with `prefix`, and what follows it."""
    return {name: name.removeprefix(prefix) for name in names if name.startswith(prefix)}


def _converted(inside: dict[str, str], family: str) -> dict[str, str]:
    tried = {name: BLOCK_NAME[family].fullmatch(theirs) for name, theirs in inside.items()}
    matches = {name: m for name, m in tried.items() if m}
    places = {name: (int(m[1]), int(m[2])) for name, m in matches.items()}
    number = {place: i for i, place in enumerate(sorted(set(places.values())))}
    expanding = {places[name] for name, m in matches.items() if m[3] == EXPANDS[family]}
    converted = {}
    for name, theirs in inside.items():
        if name in places:
            rules = INSIDE_BLOCK[family, places[name] in expanding]
            start, rest = f"_blocks.{number[places[name]]}.", matches[name][3]
        else:
            rules, start, rest = OUTSIDE_BLOCKS[family], "", theirs
        layer, _, tensor = rest.rpartition(".")
        converted[name] = f"{start}{rules[layer]}.{tensor}" if layer in rules else theirs
    return converted


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise EffnetError(
            f"{path}: .safetensors files need the package safetensors: pip install safetensors."
        ) from None
    try:
        return load_file(path)
    except SafetensorError as error:
        raise EffnetError(f"{path}: not a readable .safetensors file ({error}).") from None
