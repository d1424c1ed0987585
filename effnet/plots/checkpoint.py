"""What a checkpoint becomes here: what trains when it is frozen, and under the other padding.

The published weights were trained with TensorFlow's "same" padding; the thesis ran them with
k//2 zeros on all sides. Both are loaded here, and shown the same images.
"""

from pathlib import Path

import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from effnet.count import count_parameters, count_trainable_parameters
from effnet.model import PADDINGS, SCALES, Conv2d, build_model
from effnet.plots.groups import absent
from effnet.plots.style import BLUE, LIGHT, VERMILLION, footnote, new_figure, styled
from effnet.train import make_model
from effnet.trial import Trial
from effnet.weights.formats import read_tensors
from effnet.weights.load import load_weights

DENSITY = LinearSegmentedColormap.from_list("density", ["#BBD7EC", BLUE, "#00243D"])


def trainable_table(trial: Trial, num_classes: int, checkpoint: Path | None) -> pd.DataFrame:
    """Parameters that train when everything does, and when all that was loaded is frozen."""
    rows = []
    settings = [(False, "everything trains"), (True, "loaded weights frozen")]
    for freeze, what in settings if checkpoint else settings[:1]:
        model = make_model(trial.replace(freeze_pretrained_weights=freeze), num_classes, checkpoint)
        trained = [name for name, p in model.named_parameters() if p.requires_grad]
        number, total = count_trainable_parameters(model), count_parameters(model)
        rows.append(
            {
                "setting": what,
                "parameters": total,
                "trainable": number,
                "trainable (%)": round(100 * number / total, 2),
                "trainable tensors": len(trained),
                "the last of these tensors": ", ".join(trained[-2:]),
            }
        )
    return pd.DataFrame(rows)


@torch.inference_mode()
def logits_under(checkpoint: Path | None, trial: Trial, images: Tensor) -> dict[str, Tensor]:
    """Logits (B, N) of normalised images (B, C, H, W) under each padding, in eval mode.

    The checkpoint's own classifier is used, so N is the number of classes it was trained on.
    Empty without a checkpoint, and for a network of another library.
    """
    if checkpoint is None or trial.model_name not in SCALES:
        return {}
    biases = [tensor for name, tensor in read_tensors(checkpoint).items() if name.endswith(".bias")]
    logits = {}
    for padding in PADDINGS:
        model = build_model(
            trial.model_name,
            num_classes=len(biases[-1]),
            in_channels=trial.in_channels,
            padding=padding,
            width_coefficient=trial.width_coefficient,
            depth_coefficient=trial.depth_coefficient,
        )
        load_weights(model, checkpoint, classifier="load", gray_stem="sum")
        logits[padding] = model.eval()(images)
    return logits


def padding_table(logits: dict[str, Tensor]) -> pd.DataFrame:
    """How far the logits of the two paddings are apart, a row per measure; none without logits.

    Values are texts: counts and shares do not have the same digits.
    """
    columns = ["measure", "value"]
    if not logits:
        return pd.DataFrame(columns=columns)
    same, symmetric = (logits[padding].double() for padding in PADDINGS)
    gap = (same - symmetric).abs()
    agree = (same.argmax(1) == symmetric.argmax(1)).double().mean().item()
    rows = {
        "images": len(same),
        "classes of the checkpoint": same.shape[1],
        "standard deviation of the logits": same.std().item(),
        "mean difference of a logit": gap.mean().item(),
        "largest difference of a logit": gap.max().item(),
        "mean difference, as a share of the deviation": (gap.mean() / same.std()).item(),
        "images with the same predicted class (%)": 100 * agree,
    }
    texts = [f"{v}" if isinstance(v, int) else f"{v:.4g}" for v in rows.values()]
    return pd.DataFrame(zip(rows, texts, strict=True), columns=columns)


@styled
def padding_effect(logits: dict[str, Tensor], side: int = 8) -> Figure:
    """Where a strided 3x3 convolution looks under each padding, and the logits that follow.

    `side`: pixels of the drawn row; what each output reads is found by its gradient.
    """
    if not logits:
        return absent("Two paddings", "This profile has no checkpoint of the kit's networks.")
    figure, (left, right) = new_figure(1, 2, height=4.0, width_ratios=[1.2, 1])
    for level, padding in enumerate(PADDINGS):
        _windows(left, Conv2d(1, 1, 3, 2, padding=padding), side, 4.6 * (1 - level), padding)
    left.set(xlim=(-1.2, side + 1.2), ylim=(-2.5, 7.2), aspect="equal")
    left.set_axis_off()
    left.set_title(f"3x3 convolution, stride 2, on a row of {side} pixels")
    same, symmetric = (logits[padding].flatten().numpy() for padding in PADDINGS)
    right.hexbin(same, symmetric, gridsize=45, bins="log", mincnt=1, cmap=DENSITY, linewidths=0.2)
    ends = [same.min(), same.max()]
    right.plot(ends, ends, color=VERMILLION, ls="--", lw=1.2, label="no difference")
    right.set(xlabel='logit with "same" padding', ylabel='logit with "symmetric" padding')
    right.set_title("One checkpoint, two paddings")
    right.legend(loc="upper left")
    agree = (logits["same"].argmax(1) == logits["symmetric"].argmax(1)).float().mean().item()
    footnote(
        figure,
        "Left: bars are what an output reads, hatched are zeros. Right (darker: more logits): "
        f"{len(logits['same'])} images, for {agree:.0%} of which both predict the same class.",
    )
    return figure


def _windows(ax: Axes, conv: Conv2d, side: int, y: float, padding: str) -> None:
    """The pixels that each output of a row reads (boxes below them), zeros hatched."""
    kernel = conv.kernel_size[0]
    torch.nn.init.ones_(conv.weight)
    for i in range(side):
        ax.add_patch(Rectangle((i, y), 1, 1, facecolor=LIGHT, edgecolor="white"))
        ax.text(i + 0.5, y + 0.5, str(i), ha="center", va="center")
    image = torch.zeros(1, 1, side, side, requires_grad=True)
    row = conv(image)[0, 0, side // 4]
    for output, value in enumerate(row):
        (gradient,) = torch.autograd.grad(value, image, retain_graph=True)
        seen = gradient[0, 0].sum(0).nonzero().flatten().tolist()
        start = seen[0] if seen[0] > 0 else seen[-1] - kernel + 1
        for zero in [p for p in range(start, start + kernel) if not 0 <= p < side]:
            ax.add_patch(
                Rectangle((zero, y), 1, 1, facecolor="white", edgecolor=VERMILLION, hatch="///")
            )
        low = y - 0.35 - 0.45 * (output % 2)
        ax.plot([start + 0.08, start + kernel - 0.08], [low, low], color=BLUE, lw=4)
        ax.plot(start + kernel / 2, low, "o", color="white", ms=3.5)
    ax.text(0, y + 1.2, f'padding="{padding}"', ha="left", va="bottom", fontweight="bold")
