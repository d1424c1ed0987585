"""Claims about loss and transforms (sections 5.2, 5.3), measured on the kit's own objects.

Nothing is compared with a constant of the kit: the transforms' limits are the extremes of what
they draw, the loss's targets come from its gradient, the order from pixels.
"""

import inspect

import numpy as np
import pandas as pd
import torch
import torchvision.transforms as tv
import torchvision.transforms.functional as F
from PIL import Image

from effnet import augment
from effnet.fast.warp import warp
from effnet.loss import LabelSmoothingCrossEntropy
from effnet.training.module import Classifier
from effnet.trial import Trial
from effnet.verdicts.finding import EXACT, Finding, close, holds, needs_real_data, same

DRAWS = 50_000
SIDE = 1000  # so that a shift of one whole pixel is a thousandth of the side
DRAWN = f"extreme of {DRAWS:,} draws"
TRAINING = "Resize, RandomHorizontalFlip, RandomAffine, ToTensor, ColorJitter, Normalize"
# claim: (row of the normalisation table, statistic)
NORMALISATION = {
    "C037": ("red", "mean"),
    "C038": ("red", "std"),
    "C039": ("green", "mean"),
    "C040": ("green", "std"),
    "C041": ("blue", "mean"),
    "C042": ("blue", "std"),
    "C043": ("rgb", "mean"),
    "C044": ("rgb", "std"),
}


def findings(
    expected: dict[str, str],
    classifier: Classifier,
    trial: Trial,
    measured: pd.DataFrame | None,
    real: bool,
) -> dict[str, Finding]:
    """Findings by claim id.

    `classifier` and `trial` are the thesis's printed script as the kit sets it up; `measured` is
    notebook 01's normalisation table of the profile's training images, or of the whole photographs
    beside them, None where it was not run; `real` says whether the profile's images are the whole
    of Stanford Cars.
    """
    return {
        **_loss(expected, classifier.loss),
        **_drawn(expected),
        **_pipeline(expected, classifier.augment, trial),
        **_normalisation(expected, measured, real),
    }


def _loss(expected: dict[str, str], loss: LabelSmoothingCrossEntropy) -> dict[str, Finding]:
    classes = 196
    logits = torch.randn(
        1, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    logits.requires_grad_()
    loss(logits, torch.tensor([0])).backward()
    assert logits.grad is not None
    targets = (logits.softmax(1) - logits.grad).squeeze(0).detach()  # d loss / d logits = p - t
    right, other = targets[0].item(), targets[1:].mean().item()
    epsilon = float(expected["C024"])
    wanted = [1 - epsilon + epsilon / classes, epsilon / classes]
    near = np.allclose([right, other], wanted, atol=1e-6)
    text = f"{right:.5f}; {other:.5f}"
    return {
        "C024": close(
            other * classes,
            expected["C024"],
            1e-5,
            "32-bit arithmetic",
            f"From the gradient of the loss: the targets are {text}",
            digits=5,
        ),
        "X02": holds(
            near and abs(right - (1 - epsilon)) > 1e-4,
            text,
            "±1e-06",
            "32-bit arithmetic",
            f"1-e+e/N and e/N for N = {classes}, which sum to 1; the text's "
            f"1-e and e would sum to {1 - epsilon + epsilon * (classes - 1):.1f}",
        ),
    }


def _drawn(expected: dict[str, str]) -> dict[str, Finding]:
    drawn = augment.draw(DRAWS, SIDE, SIDE, torch.Generator().manual_seed(0))
    share = drawn.flip.double().mean().item()
    shift = [
        drawn.translate_x.abs().max().item() / SIDE,
        drawn.translate_y.abs().max().item() / SIDE,
    ]
    angle, shear = drawn.angle.abs().max().item(), drawn.shear.abs().max().item()

    def extreme(claim: str, got: float, tolerance: float, digits: int = 3) -> Finding:
        return close(got, expected[claim], tolerance, DRAWN, digits=digits)

    return {
        "C027": close(
            share, expected["C027"], 0.01, f"share of {DRAWS:,} draws, 4 deviations", digits=3
        ),
        "C028": extreme("C028", angle, 0.02),
        "C029": extreme("C029", shift[0], 0.001),
        "C030": extreme("C030", shift[1], 0.001),
        "C031": extreme("C031", drawn.scale.min().item(), 0.001),
        "C032": extreme("C032", drawn.scale.max().item(), 0.001),
        "C033": extreme("C033", shear, 0.02),
        "X05": holds(
            abs(max(shift) - 0.1) <= 0.001 and abs(shear - 8) <= 0.02,
            f"{max(shift):.3f}; {shear:.2f}",
            "±0.001; ±0.02",
            DRAWN,
            f"The centre moves by up to {max(shift):.0%} of a side, and images are "
            f"sheared by up to {shear:.1f} degrees",
        ),
    }


def _pipeline(expected: dict[str, str], kit: augment.Augment, trial: Trial) -> dict[str, Finding]:
    noise = np.random.default_rng(0).integers(0, 256, (trial.side, trial.side, 3))
    picture = Image.fromarray(noise.astype(np.uint8))
    drawn = augment.draw(1, trial.side, trial.side, torch.Generator().manual_seed(3))
    drawn = augment.Parameters(**{**vars(drawn), "flip": torch.tensor([True])})
    batch = F.pil_to_tensor(picture)[None]
    ours = kit.normalise(warp(batch, augment.steps(drawn, *noise.shape[:2])))[0]
    jitter = tv.ColorJitter()
    unchanged = bool((jitter(F.to_tensor(picture)) == F.to_tensor(picture)).all())
    order = TRAINING if _max_gap(ours, _thesis(picture, drawn, kit, jitter)) < 1e-5 else "another"
    swapped = _max_gap(ours, _thesis(picture, drawn, kit, jitter, affine_first=True))
    plain = kit(batch, train=False)[0]
    reference = _normalise(F.to_tensor(picture), kit)
    validation = "Resize, ToTensor, Normalize" if _max_gap(plain, reference) < 1e-5 else "another"
    amounts = [jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue]
    parameters = inspect.signature(tv.ColorJitter).parameters.values()
    defaults = {p.name: p.default for p in parameters}
    none = "none" if unchanged and amounts == [None] * 4 else "some"
    no_change = f"Left out: with defaults {defaults} torchvision's ColorJitter changes no pixel"
    return {
        "C034": same(none, expected["C034"], "measured on an image of noise", no_change),
        "C035": same(
            order,
            expected["C035"],
            "the same pixels as torchvision's transforms in this order",
            f"Affine before flip would differ by up to {swapped:.1f}",
        ),
        "C036": same(
            validation, expected["C036"], "the same pixels as torchvision's in this order"
        ),
        "X01": holds(
            unchanged,
            "0" if unchanged else "some change",
            EXACT,
            "measured on an image of noise",
            "Brightness, contrast, saturation and hue are all unset, no pixel changes",
        ),
    }


def _thesis(
    picture: Image.Image,
    drawn: augment.Parameters,
    kit: augment.Augment,
    jitter: tv.ColorJitter,
    affine_first: bool = False,
) -> torch.Tensor:
    """The thesis's transforms from torchvision, for one image and its drawn parameters."""

    def affine(image: Image.Image) -> Image.Image:
        shift = [int(drawn.translate_x), int(drawn.translate_y)]
        angle, scale, shear = float(drawn.angle), float(drawn.scale), [float(drawn.shear), 0.0]
        return F.affine(image, angle, shift, scale, shear)

    first, second = (affine, F.hflip) if affine_first else (F.hflip, affine)
    return _normalise(jitter(F.to_tensor(second(first(picture)))), kit)


def _normalise(pixels: torch.Tensor, kit: augment.Augment) -> torch.Tensor:
    """torchvision's Normalize with the mean and deviation that the kit's object holds."""
    std = 1 / (255 * kit.factor.double())
    mean = -kit.offset.double() * std
    return F.normalize(pixels, mean.tolist(), std.tolist())


def _max_gap(a: torch.Tensor, b: torch.Tensor) -> float:
    return (a - b).abs().max().item()


def _normalisation(
    expected: dict[str, str], measured: pd.DataFrame | None, real: bool
) -> dict[str, Finding]:
    if measured is None:
        missing = needs_real_data("Notebook 01 measures it; its table is not there")
        return dict.fromkeys([*NORMALISATION, "X09"], missing)
    table = measured.set_index("channel")
    # Whole photographs beside cropped ones only show how near they come: `real` is not about them.
    whole = int(table["whole_photographs"].max())
    source = f"{whole:,} whole photographs" if whole else "Data at hand"
    real = real and not whole
    value = {
        c: float(table.at[row, f"{kind}_per_image"]) for c, (row, kind) in NORMALISATION.items()
    }
    found = {}
    for claim, (row, kind) in NORMALISATION.items():
        pooled, gray = table.at[row, f"{kind}_pooled"], table.at["gray", f"{kind}_per_image"]
        text = f"Over all pixels {pooled:.4f}"
        text += f"; of the gray image {gray:.4f}" if row == "rgb" else ""
        found[claim] = (
            close(value[claim], expected[claim], 0.001, "cut or rounded to three digits", text)
            if real
            else needs_real_data(f"{source}: {value[claim]:.4f} ({text.lower()})")
        )
    pair = [value["C037"], value["C042"]]
    note = "Red mean and blue deviation round up, the thesis cuts them"
    found["X09"] = (
        close(pair, expected["X09"], 0.0005, "half of the last digit", note, digits=5)
        if real
        else needs_real_data(f"{source}: {pair[0]:.4f}; {pair[1]:.4f}")
    )
    return found
