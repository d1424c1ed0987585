"""What a trained run is good for: classes of other images, and a network for other programs."""

import importlib.util
import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn

from effnet.augment import NORMALIZATIONS
from effnet.datasets import folders
from effnet.datasets.images import UnreadableImage, load
from effnet.errors import EffnetError
from effnet.files import atomic_write, read_sealed
from effnet.paths import relative
from effnet.runs import RunLike, run_folder
from effnet.train import make_classifier
from effnet.training.checkpoints import best_weights
from effnet.training.module import Classifier
from effnet.training.status import read_status
from effnet.trial import Trial, resolve

ImageLike: TypeAlias = str | Path | Image.Image
COLUMNS = ["image", "rank", "class_id", "class_name", "probability"]
# Luma of RGB, as in PIL's convert("L"), which rounds it to whole numbers of 255.
LUMA = (0.299, 0.587, 0.114)


def load_trained(run: RunLike) -> tuple[Classifier, list[str]]:
    """A finished run's network with the weights of its best epoch, on the CPU, and its classes.

    Raises EffnetError where there is no such run, where it is not finished or was told to keep no
    weights, and Damaged where a file of it is not what it left.
    """
    folder = resolve(run_folder(run))
    if not (folder / "trial.json").exists():
        raise EffnetError(
            f"run is {str(folder)!r}: there is no trial.json, so it is no run's folder. Give a "
            "folder of reports/<profile>/runs, or a row of effnet.load_runs."
        )
    record, status = read_sealed(folder / "trial.json"), read_status(folder)
    if (state := status.get("state")) != "finished":
        raise EffnetError(
            f"{relative(folder)} is {state or 'not begun'}: only a finished run can be used. "
            "run(trial), or the command that began it, finishes it."
        )
    if "best.ckpt" not in status["outputs"] and not (folder / "best.ckpt").exists():
        raise EffnetError(
            f"{relative(folder)} kept no weights (keep_weights: false in its group of the profile, "
            "or run(..., keep_weights=False)). Set it to true, remove the folder, train it again."
        )
    best = best_weights(folder)
    names = record.get("classes")
    if names is None:  # of an earlier version, which recorded none
        if "_fc.bias" not in best:
            raise EffnetError(
                f"{relative(folder)} is of an earlier version, which did not record its classes: "
                "train it again."
            )
        names = [f"class {i}" for i in range(len(best["_fc.bias"]))]
    # The weights come from the run itself; the checkpoint that it began with may be gone. What
    # that one gave the network beside its weights is in the summary.
    own = {"weights": None, "freeze_pretrained_weights": False}
    own |= {"compile": False, "cuda_graphs": False}
    if eps := read_sealed(folder / "summary.json").get("batch_norm_eps"):
        own["batch_norm_eps"] = eps
    trial = Trial.make(own, base=record["trial"])
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):  # the caller's own
        classifier = make_classifier(trial, len(names), None)
    classifier.model.load_state_dict(best)
    return classifier.eval(), names


@torch.inference_mode()
def predict(
    run: RunLike, images: ImageLike | Iterable[ImageLike], k: int = 5, on_bad_image: str = "stop"
) -> pd.DataFrame:
    """The `k` likeliest classes of images, by the best epoch's network of a finished run.

    The images go the way of the run's own in its evaluation: whole, resized to its size, gray for
    a grayscale run. For the run's own images that gives predictions_*.csv again, where the trial
    says predict_with="best". A run of crop="box" has only seen cars cut out: cut them out.

    Args:
        run: its folder (relative paths start at the checkout), or a row of `load_runs`.
        images: a path, a PIL image, a folder (searched with the folders in it), or several.
        k: rows per image, at least 1; at most one per class.
        on_bad_image: "stop" raises one error that names every unreadable image; "skip" leaves them
            out, with a warning that does.

    Returns a row per image and rank: image (the path, or its index where it is a PIL image), rank
    (from 1), class_id (from 0), class_name, probability (softmax).
    """
    if k < 1:
        raise EffnetError(f"k is {k}: it must be at least 1.")
    if on_bad_image not in ("stop", "skip"):
        raise EffnetError(f"on_bad_image is {on_bad_image!r}: allowed are 'stop' and 'skip'.")
    sources = _sources(images)
    classifier, names = load_trained(run)
    trial = classifier.trial
    if trial.crop == "box":
        warnings.warn(
            "the run has only seen cars cut out of their photographs (crop='box'): give it such "
            "images; here they are taken whole",
            stacklevel=3,
        )
    classifier.to("cuda" if torch.cuda.is_available() else "cpu")
    network = classifier.evaluator()

    def read(name: str | int, source: ImageLike) -> tuple[str | int, np.ndarray | str]:
        """The name, and the pixels or why there are none."""
        try:
            return name, load(source, trial.side, trial.in_channels)
        except UnreadableImage as error:
            return name, str(error)

    bad: list[str] = []
    tables = []
    for start in range(0, len(sources), trial.batch_size):
        batch = [read(*named) for named in sources[start : start + trial.batch_size]]
        bad += [f"{name}: {found}" for name, found in batch if isinstance(found, str)]
        good = [(name, found) for name, found in batch if not isinstance(found, str)]
        if good and not (bad and on_bad_image == "stop"):
            inputs = torch.from_numpy(np.stack([pixels for _, pixels in good]))
            inputs = inputs.permute(0, 3, 1, 2).to(classifier.device)
            logits = network(classifier.augment.normalise(inputs))
            tables.append(_table([name for name, _ in good], logits, names, k))
    if bad:
        told = f"{len(bad)} of {len(sources)} images cannot be read:\n  " + "\n  ".join(bad)
        if on_bad_image == "stop":
            raise EffnetError(f"{told}\nReplace them, or leave them out with on_bad_image='skip'.")
        warnings.warn(told, stacklevel=3)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)


def _sources(images: ImageLike | Iterable[ImageLike]) -> list[tuple[str | int, ImageLike]]:
    """(name, path or image) of every image; folders are opened."""
    if isinstance(images, str | Path | Image.Image):
        images = [images]
    found: list[tuple[str | int, ImageLike]] = []
    for index, image in enumerate(images):
        if isinstance(image, Image.Image):
            found.append((index, image))
        elif not isinstance(image, str | Path):
            raise EffnetError(
                f"images[{index}] is of type {type(image).__name__}: allowed are paths and PIL "
                "images (PIL.Image.fromarray makes one of an array)."
            )
        elif Path(image).is_dir():
            inside = _inside(Path(image))
            if not inside:
                kinds = ", ".join(sorted(folders.IMAGE_SUFFIXES))
                raise EffnetError(f"images[{index}] is the folder {image}, without any of {kinds}.")
            found += [(str(path), path) for path in inside]
        else:
            found.append((str(image), image))
    if not found:
        raise EffnetError("images is empty: give a path, a folder, a PIL image, or a list of them.")
    return found


def _inside(folder: Path) -> list[Path]:
    """The images of a folder and of the folders in it."""
    deeper = [path for inner in folders.folders(folder) for path in _inside(inner)]
    return folders.images(folder) + deeper


def _table(images: list[str | int], logits: Tensor, names: list[str], k: int) -> pd.DataFrame:
    """Rows of the result for the logits (B, classes) of B images."""
    k = min(k, len(names))
    probability, classes = logits.float().softmax(1).topk(k, dim=1)
    class_id = classes.flatten().cpu().numpy()
    columns = [
        [image for image in images for _ in range(k)],
        np.tile(np.arange(1, k + 1), len(images)),
        class_id,
        [names[i] for i in class_id],
        probability.flatten().cpu().numpy(),
    ]
    return pd.DataFrame(dict(zip(COLUMNS, columns, strict=True)))


class Exported(nn.Module):
    """The whole way from an RGB batch in [0, 1] to logits: gray where the run is, normalised."""

    luma: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.network, trial = classifier.model, classifier.trial
        assert trial.normalization is not None  # filled in
        mean, std = NORMALIZATIONS[trial.normalization, trial.in_channels]
        self.gray = trial.in_channels == 1
        for name, values in (("luma", LUMA), ("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """float32 (B, 3, S, S) in [0, 1] to logits (B, classes)."""
        if self.gray:
            images = (images * self.luma).sum(1, keepdim=True)
        return self.network((images - self.mean) / self.std)


def export(run: RunLike, path: Path | str) -> Path:
    """Write the best epoch's network of a finished run as ONNX; returns the file.

    Its input `images` is float32 (batch, 3, S, S), RGB in [0, 1], resized to the run's own S (in
    any number); its output `logits` is (batch, classes). Normalisation, and a grayscale run's
    luma, are inside. The names of the classes, by id, are a JSON list in its metadata, `classes`.
    """
    if any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript")):
        raise EffnetError(
            "effnet.export needs the packages onnx and onnxscript: `pip install -c constraints.txt "
            "-e '.[onnx]'` in the checkout installs them."
        )
    classifier, names = load_trained(run)
    side = classifier.trial.side
    whole = Exported(classifier).eval().requires_grad_(False)
    program = torch.onnx.export(
        whole,
        (torch.rand(2, 3, side, side),),
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes={"images": {0: torch.export.Dim("batch")}},
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # what the exporter of old returned
    program.model.metadata_props["classes"] = json.dumps(names)
    path = Path(path)
    with atomic_write(path) as temporary:
        program.save(temporary)
    return path
