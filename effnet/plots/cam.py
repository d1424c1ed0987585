"""Figure 8: where trained networks of different scale look (thesis section 2.3).

Grad-CAM (Selvaraju et al. 2017): a layer's feature maps, weighted by how much the class's logit
grows with each of them. For the last layer, behind which EfficientNet only pools and weighs, this
is up to a factor the class activation map of Zhou et al. (2016) that the published figure shows.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from effnet import inference
from effnet.datasets.layouts import open_dataset
from effnet.errors import EffnetError
from effnet.model import EfficientNet
from effnet.plots.augmentation import picture
from effnet.plots.groups import absent
from effnet.plots.style import GREEN, VERMILLION, footnote, new_figure, plain, styled
from effnet.runs import predictions, run_folder
from effnet.training.module import Classifier
from effnet.trial import resolve

ROWS = 7  # of the map that B0 at 224 pixels has behind its last block


class Maps(NamedTuple):
    """What one network sees in a few images.

    heat: (N, h, w) in [0, 1], the network's own feature resolution. predicted: (N,) class ids.
    probability: (N,) of the predicted class.
    """

    heat: np.ndarray
    predicted: np.ndarray
    probability: np.ndarray


def grad_cam(
    model: EfficientNet, images: Tensor, classes: Tensor | None = None, rows: int = ROWS
) -> tuple[Tensor, Tensor]:
    """Heat maps (B, h, w) in [0, 1] and logits (B, N) of normalised images (B, C, H, W).

    The maps come from the deepest layer with at least `rows` rows and columns: at native
    resolution from the head, as published; small images shrink to 2 x 2 there, and an earlier
    block speaks for them. `classes` (B,): whose evidence is shown; None: the predicted ones.
    A map without any positive evidence is all zeros.
    """
    layers: list[Tensor] = []
    handles = [
        block.register_forward_hook(lambda _module, _inputs, output: layers.append(output))
        for block in model.eval()._blocks
    ]
    try:
        with torch.enable_grad():  # from the images on, in case that all weights are frozen
            layers.append(model.extract_features(images.detach().requires_grad_()))
            logits = model._fc(layers[-1].mean((2, 3)))
            chosen = logits.argmax(1) if classes is None else classes
            score = logits.gather(1, chosen[:, None]).sum()
            features = next((x for x in layers[::-1] if min(x.shape[2:]) >= rows), layers[0])
            (gradient,) = torch.autograd.grad(score, features)
    finally:
        for handle in handles:
            handle.remove()
    weights = gradient.mean((2, 3), keepdim=True)
    heat = (weights * features).sum(1).clamp(min=0).detach()
    return heat / heat.amax((1, 2), keepdim=True).clamp(min=1e-12), logits.detach()


def load_trained(run: pd.Series | Path | str) -> Classifier:
    """A finished run's EfficientNet with the weights of its best epoch, on the CPU."""
    classifier, _ = inference.load_trained(run)
    if not isinstance(classifier.model, EfficientNet):
        name = classifier.trial.model_name
        raise EffnetError(f"{run_folder(run)}: figure 8 needs an EfficientNet, not {name}.")
    return classifier


def choose_images(runs: pd.DataFrame, count: int = 3) -> list[str]:
    """Paths of validation images of `count` classes that most of the runs get right."""
    tables = [predictions(run) for _, run in runs.iterrows()]
    table = tables[0].assign(right=sum(t["correct"].astype(int) for t in tables))
    table = table.sort_values("right", ascending=False, kind="stable").drop_duplicates("class_id")
    return table["path"].head(count).tolist()


def look(run: pd.Series, data_dir: Path | str, paths: Sequence[str]) -> Maps:
    """Grad-CAM of a run's network on images (paths relative to `data_dir`), at its resolution."""
    classifier = load_trained(run)
    trial = classifier.trial
    images = [picture(Path(data_dir), path, trial.side, trial.in_channels) for path in paths]
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    assert isinstance(classifier.model, EfficientNet)
    heat, logits = grad_cam(classifier.model, classifier.augment(batch, train=False))
    probability, predicted = logits.softmax(1).max(1)
    return Maps(heat.numpy(), predicted.numpy(), probability.numpy())


def guessing(class_ids: pd.Series) -> float:
    """The share that is right of always naming the commonest of these images' classes."""
    return float(class_ids.value_counts(normalize=True).max())


def learned(accuracy: float, class_ids: pd.Series) -> bool:
    """Whether a network is right more often than guessing, by over two standard errors of that.

    `accuracy`: its share of right answers, of images of these classes; see `guessing`.
    """
    guess = guessing(class_ids)
    return bool(accuracy > guess + 2 * np.sqrt(guess * (1 - guess) / len(class_ids)))


@styled
def activation_maps(
    pictures: Sequence[np.ndarray],
    class_ids: Sequence[int],
    names: Sequence[str],
    maps: dict[str, Maps | None],
    heading: str = "image",
    source: str = "",
) -> Figure:
    """Figure 8: a row per image, a column per network, the heat over the gray picture.

    pictures: uint8 (S, S, 3). class_ids: their true classes. names: class names by id.
    maps: title of a column -> what that network sees; None: it learned nothing, and its panels
    say so. heading: over the pictures, as many lines as the titles.
    """
    rows, columns = len(pictures), len(maps) + 1
    figure, axes = new_figure(rows, columns, height=1.55 * rows + 1.2, squeeze=False)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.grid(False)
        ax.spines[:].set_visible(False)
    for ax, title in zip(axes[0], [heading, *maps], strict=True):
        for i, line in enumerate(title.split("\n")[::-1]):  # one by one, so that all are level
            ax.annotate(line, (0.5, 1), xytext=(0, 5 + 12 * i), xycoords="axes fraction",
                        textcoords="offset points", ha="center", fontsize=8.5)  # fmt: skip
    shown = None
    for i, (image, class_id) in enumerate(zip(pictures, class_ids, strict=True)):
        axes[i, 0].imshow(image)
        _below(axes[i, 0], names[class_id], "black")
        gray, side = image.mean(2), len(image)
        for ax, seen in zip(axes[i, 1:], maps.values(), strict=True):
            if seen is None:
                _nothing(ax, side)
                continue
            ax.imshow(gray, cmap="gray", vmin=0, vmax=255)
            shown = ax.imshow(
                seen.heat[i],
                cmap="inferno",
                vmin=0,
                vmax=1,
                alpha=0.6,
                interpolation="bilinear",
                extent=(-0.5, side - 0.5, side - 0.5, -0.5),
            )
            right = seen.predicted[i] == class_id
            text = "right" if right else names[seen.predicted[i]][:50]
            _below(ax, f"{text} ({seen.probability[i]:.0%})", GREEN if right else VERMILLION)
    if shown:
        bar = figure.colorbar(shown, ax=axes, shrink=0.7, aspect=30, pad=0.01)
        bar.set_label("evidence for the predicted class\n(share of the map's maximum)")
        footnote(
            figure,
            "Below each map: whether the network is right, else what it takes the car for, and its "
            f"probability.\nA dark map: no positive evidence. {source}",
        )
    else:
        footnote(figure, source)
    return figure


def scaled_networks(runs: pd.DataFrame, published: pd.DataFrame, source: str = "") -> Figure:
    """Figure 8 from finished runs that differ in width, depth and resolution alone.

    The columns stand in the order of `runs`, titled by their names, their coefficients and those of
    the thesis's network that is scaled likewise (`published`, from `thesis.scaling_models`).
    Without runs the figure says so.
    """
    title = "Class activation maps of scaled networks"
    if runs.empty:
        missing = "No scaled networks in this report; the profile “demo” trains five."
        return absent(title, missing, source)
    data = open_dataset(resolve(runs.iloc[0]["data_dir"]))
    true = predictions(runs.iloc[0]).set_index("path")["class_id"]
    able = [learned(accuracy, true) for accuracy in runs["max_val_acc"]]  # that of the weights kept
    paths = choose_images(runs[able] if any(able) else runs, count=3 if any(able) else 1)
    maps = {
        _title(run, runs["image_size"].min(), published): look(run, data.root, paths)
        if knows
        else None
        for (_, run), knows in zip(runs.iterrows(), able, strict=True)
    }
    pictures = [picture(data.root, path, int(runs["image_size"].max()), 3) for path in paths]
    heading = f"image\n\nhere:\nin the thesis:\nright (guessing: {guessing(true):.0%}):"
    class_ids = [int(true[path]) for path in paths]
    return activation_maps(pictures, class_ids, data.class_names, maps, heading, source)


def _title(run: pd.Series, base: int, published: pd.DataFrame) -> str:
    """Name, image side, coefficients here and in the thesis, share of right answers."""
    depth, width = run[["depth_coefficient", "width_coefficient"]].fillna(1).astype(float)
    here = (depth, width, run["image_size"] / base)
    factors = published[["depth", "width", "resolution"]].fillna(1).to_numpy(float)
    like = ((factors != 1) == (np.array(here) != 1)).all(axis=1)
    there = factors[like][0] if like.any() else ()
    name = plain(run["name"].removeprefix("scaling "), 30)
    return (
        f"{name}\n{run['image_size']} px\n{_coefficients(here)}\n{_coefficients(there)}\n"
        f"{run['max_val_acc']:.0%}"
    )


def _coefficients(values: Sequence[float]) -> str:
    shown = [f"{k}={v:.3g}" for k, v in zip("dwr", values, strict=False) if v != 1]
    return " ".join(shown) or ("d=w=r=1" if len(values) else "–")


def _nothing(ax: Axes, side: int) -> None:
    """The panel of a network that learned nothing."""
    ax.set(xlim=(0, side), ylim=(0, side), aspect="equal", facecolor="#F0F0F0")
    text = "no map: not\nclearly better\nthan guessing"
    ax.text(side / 2, side / 2, text, ha="center", va="center", fontsize=8.5)


def _below(ax: Axes, text: str, colour: str) -> None:
    ax.set_xlabel(plain(text, wrap=18), fontsize=8.5, color=colour)
