"""Figure 17: the loss with label smoothing, typeset and measured (thesis section 5.2)."""

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch.nn.functional import cross_entropy

from effnet.loss import LabelSmoothingCrossEntropy
from effnet.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    SKY,
    VERMILLION,
    WIDTH,
    footnote,
    hide_axes,
    styled,
)

PAIRS = 200  # of random logits and labels in the figure
FORMULA = (
    r"$\mathrm{LSCE}(x, i) = (1 - \varepsilon)\;\mathrm{ce}(i) + "
    r"\dfrac{\varepsilon}{N}\;\sum_{j=1}^{N}\,\mathrm{ce}(j)"
    r"\qquad\mathrm{ce}(j) = -\log\,\mathrm{softmax}(x)_j$"
)


@styled
def label_smoothing(epsilon: float = 0.1, num_classes: int = 196) -> Figure:
    """Figure 17: the formula, the loss against the logits' margin, its targets, torch's loss."""
    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[1, 3.6])[:, 0]
    formula = top.subplots()
    hide_axes(formula)
    formula.text(0.5, 0.5, FORMULA, ha="center", va="center", fontsize=17)
    margin, targets, identity = bottom.subplots(1, 3)
    _margin(margin, epsilon, num_classes)
    _targets(targets, epsilon, num_classes)
    largest = _identity(identity, epsilon, num_classes)
    footnote(
        figure,
        f"N = {num_classes} classes, $\\varepsilon$ = {epsilon:g}; x: logits, i: the true class. "
        "Left: dots mark the smallest loss.\n"
        f"Right: {PAIRS} random logits; the largest difference is {largest:.1e}.",
    )
    return figure


def identity_table(epsilon: float = 0.1, num_classes: int = 196) -> pd.DataFrame:
    """Ours beside torch's loss for each reduction, on 1000 random logits, float32."""
    logits, labels = _random_logits(1000, num_classes)
    rows = []
    for reduction in ("mean", "sum", "none"):
        ours = LabelSmoothingCrossEntropy(epsilon, reduction)(logits, labels)
        torchs = cross_entropy(logits, labels, label_smoothing=epsilon, reduction=reduction)
        gap = ((ours - torchs).abs() / torchs.abs()).max().item()
        first, second = ours.flatten()[0].item(), torchs.flatten()[0].item()
        names = ["reduction", "here", "torch", "largest relative difference"]
        rows.append(dict(zip(names, [reduction, first, second, gap], strict=True)))
    return pd.DataFrame(rows)


def implied_targets(epsilon: float, num_classes: int) -> tuple[float, float]:
    """(right class, each other class): the targets that the loss's gradient reveals.

    The gradient of a cross-entropy with respect to the logits is softmax - target.
    """
    logits = torch.zeros(1, num_classes, requires_grad=True)
    loss = LabelSmoothingCrossEntropy(epsilon)(logits, torch.tensor([0]))
    (gradient,) = torch.autograd.grad(loss, logits)
    target = (logits.softmax(1) - gradient)[0]
    return target[0].item(), target[1].item()


def _margin(ax: Axes, epsilon: float, num_classes: int) -> None:
    """Loss when the right logit leads all others by a margin: smoothed, it has a minimum."""
    margins = torch.linspace(-2, 16, 361)
    logits = torch.zeros(len(margins), num_classes)
    logits[:, 0] = margins
    labels = torch.zeros(len(margins), dtype=torch.int64)
    for value, colour in ((0.0, GREY), (epsilon, BLUE), (3 * epsilon, SKY)):
        loss = LabelSmoothingCrossEntropy(value, "none")(logits, labels)
        ax.plot(margins, loss, color=colour, label=rf"$\varepsilon$ = {value:g}")
        if value:
            best = loss.argmin()
            ax.plot(margins[best], loss[best], "o", color=colour)
    ax.set(xlabel="lead of the right class's logit", ylabel="loss", ylim=(0, None))
    ax.set_title("Loss against the lead")
    ax.legend()


def _targets(ax: Axes, epsilon: float, num_classes: int) -> None:
    """Targets by the code (from its gradient) and by the thesis's prose, and what they sum to."""
    right, other = implied_targets(epsilon, num_classes)
    code = [right, other, right + (num_classes - 1) * other]
    prose = [1 - epsilon, epsilon, 1 - epsilon + (num_classes - 1) * epsilon]
    x = np.arange(3)
    # The values of one stand below its dots, those of the other above: the dots are close.
    for shift, values, colour, marker, label, away, side in (
        (-0.1, code, BLUE, "o", "thesis's code, and here", 0.6, "top"),
        (0.1, prose, ORANGE, "s", "thesis's prose", 1.6, "bottom"),
    ):
        ax.plot(x + shift, values, marker, color=colour, ms=7, label=label)
        for i, value in enumerate(values):
            words = f"{value:.3g}"
            ax.text(i + shift, value * away, words, ha="center", va=side, fontsize=8.5)
    ax.axhline(1, color=GREY, lw=1, zorder=0)
    ax.set(yscale="log", xlim=(-0.5, 2.5), ylim=(1e-4, 2e4), ylabel="target (log scale)")
    ax.set_xticks(x, ["right\nclass", "each\nother", "sum of\nall"])
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_title("Targets, and their sum")
    ax.legend(loc="upper left", fontsize=8.5)


def _identity(ax: Axes, epsilon: float, num_classes: int) -> float:
    """Ours against torch's loss on random logits; returns the largest difference."""
    logits, labels = _random_logits(PAIRS, num_classes)
    ours = LabelSmoothingCrossEntropy(epsilon, "none")(logits, labels)
    torchs = cross_entropy(logits, labels, label_smoothing=epsilon, reduction="none")
    ax.plot(torchs, ours, ".", color=VERMILLION, ms=4, alpha=0.6)
    ends = [torchs.min(), torchs.max()]
    ax.plot(ends, ends, color=GREY, lw=1, zorder=0)
    ax.set(xlabel="torch's loss", ylabel="loss here", title="Here against torch")
    return (ours - torchs).abs().max().item()


def _random_logits(count: int, num_classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(count, num_classes, generator=generator)
    return logits, torch.randint(num_classes, (count,), generator=generator)
