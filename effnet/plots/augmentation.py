"""Figure 18 and what else the transforms of thesis section 5.3 do, measured on real images."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torchvision.transforms.functional as F
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torchvision.transforms import ColorJitter, InterpolationMode

from effnet import augment
from effnet.augment import Augment, Parameters
from effnet.datasets.images import UnreadableImage, load
from effnet.errors import EffnetError
from effnet.fast.warp import warp
from effnet.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    VERMILLION,
    footnote,
    hide_axes,
    new_figure,
    show_image,
    styled,
)

# The argument that the thesis's text would need: brightness, contrast, saturation.
STRONG_JITTER = (0.4, 0.4, 0.4)


def picture(root: Path, path: str, size: int, channels: int = 3) -> np.ndarray:
    """One image of a data set as a network would get it: uint8 (size, size, channels).

    Raises EffnetError, naming the file, where it cannot be read.
    """
    try:
        return load(root / path, size, channels)
    except UnreadableImage as error:
        raise EffnetError(f"{path} in {root} cannot be read: {error}.") from error


@styled
def transform_panels(image: Tensor, parameters: Parameters, normalise: Augment) -> Figure:
    """Figure 18: one image resized, then flipped, then warped, then jittered and normalised.

    image: uint8 (C, H, W), already resized. parameters: of this one image; it is flipped in any
    case. Each panel goes on from the one before. The last is cut to [0, 1], as the thesis shows it.
    """
    height, width = image.shape[-2:]
    flipped, warped = flip_then_warp(image, parameters)
    jittered = ColorJitter()(warped)
    normal = normalise.normalise(jittered[None])[0]
    changed = int((jittered != warped).sum())
    p = {f.name: getattr(parameters, f.name)[0].item() for f in dataclasses.fields(parameters)}
    titles = [
        f"Resized to {width} x {height} pixels",
        "Mirrored (RandomHorizontalFlip)",
        f"RandomAffine: turned {p['angle']:+.0f}°, sheared {p['shear']:+.0f}°,\n"
        f"scale {p['scale']:.2f}, shifted ({p['translate_x']:+d}, {p['translate_y']:+d}) pixels",
        f"ColorJitter() changes {changed} values;\nnormalised, cut to [0, 1] for display",
    ]
    figure, axes = new_figure(2, 2, width=7.4, height=7.9)
    panels = [image, flipped, warped, normal.clamp(0, 1)]
    for ax, panel, title in zip(axes.flat, panels, titles, strict=True):
        show_image(ax, _picture(panel), title)
    low, high = normal.min().item(), normal.max().item()
    outside = ((normal < 0) | (normal > 1)).float().mean().item()
    footnote(
        figure,
        f"Normalised values reach from {low:.2f} to {high:.2f}; {outside:.0%} of them lie outside "
        "[0, 1], hence the hard colours.",
    )
    return figure


def flip_then_warp(image: Tensor, parameters: Parameters) -> tuple[Tensor, Tensor]:
    """(mirrored, mirrored and warped) of one image, uint8 (C, H, W) each, by `effnet.augment`."""
    height, width = image.shape[-2:]
    one = {f.name: getattr(parameters, f.name)[:1] for f in dataclasses.fields(parameters)}
    full = Parameters(**one | {"flip": torch.tensor([True])})
    still = {name: torch.zeros_like(value) for name, value in one.items()}
    mirror = Parameters(**still | {"flip": full.flip, "scale": torch.ones_like(full.scale)})
    both = [warp(image[None], augment.steps(p, height, width))[0] for p in (mirror, full)]
    return both[0], both[1]


@styled
def many_draws(image: Tensor, count: int = 12, seed: int = 0) -> Figure:
    """What training sees of one image uint8 (C, H, W): `count` draws of flip and affine map."""
    height, width = image.shape[-2:]
    drawn = augment.draw(count, height, width, torch.Generator().manual_seed(seed))
    warped = warp(image.expand(count, -1, -1, -1).contiguous(), augment.steps(drawn, height, width))
    figure, axes = new_figure(-(-count // 6), 6, height=1.62 * -(-count // 6) + 0.4, squeeze=False)
    hide_axes(axes)
    for ax, picture in zip(axes.flat, warped, strict=False):
        show_image(ax, _picture(picture))
    figure.suptitle(f"One training image in {count} epochs")
    return figure


@styled
def drawn_parameters(size: int, count: int = 20_000, seed: int = 0) -> Figure:
    """Histograms of what is drawn for images of `size` pixels, with the limits of the thesis."""
    drawn = augment.draw(count, size, size, torch.Generator().manual_seed(seed))
    shift = augment.TRANSLATE * size
    panels = [
        ("flip (share of images)", drawn.flip.float(), (0, 1)),
        ("rotation (degrees)", drawn.angle, (-augment.DEGREES, augment.DEGREES)),
        ("shift in x (pixels)", drawn.translate_x, (-shift, shift)),
        ("shift in y (pixels)", drawn.translate_y, (-shift, shift)),
        ("scale (factor)", drawn.scale, augment.SCALE),
        ("shear in x (degrees)", drawn.shear, (-augment.SHEAR_DEGREES, augment.SHEAR_DEGREES)),
    ]
    figure, axes = new_figure(2, 3, height=5.0)
    for ax, (label, values, limits) in zip(axes.flat, panels, strict=True):
        numbers = values.numpy()
        whole = np.unique(numbers).size <= 60  # flips and pixels: a bar each
        edges = np.arange(numbers.min(), numbers.max() + 2) - 0.5 if whole else 30
        ax.hist(
            numbers,
            bins=edges,
            weights=np.full(count, 100 / count),
            color=BLUE,
            edgecolor="white",
            linewidth=0.4,
        )
        for limit in limits if len(np.unique(numbers)) > 2 else ():
            ax.axvline(limit, color=VERMILLION, ls="--", lw=1.4)
        ax.set(xlabel=label, ylim=(0, None))
    for ax in axes[:, 0]:
        ax.set_ylabel("share (%)")
    axes[0, 0].set_xticks([0, 1], ["as it is", "mirrored"])
    footnote(figure, f"{count:,} draws for images of {size} x {size} pixels; dashed: the limits")
    return figure


def jitter_table(images: Tensor, seed: int = 0) -> pd.DataFrame:
    """What ColorJitter does to uint8 images (B, 3, H, W): as the thesis calls it, and with values.

    Changes of a pixel's value in levels of 255. The state of torch's random numbers is kept.
    """
    rows = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for arguments in ((), STRONG_JITTER):
            jitter = ColorJitter(*arguments)
            changed = torch.stack([jitter(image) for image in images])
            gap = (changed.int() - images.int()).abs()
            rows.append(
                {
                    "call": f"ColorJitter({', '.join(map(str, arguments))})",
                    "brightness": jitter.brightness,
                    "contrast": jitter.contrast,
                    "saturation": jitter.saturation,
                    "values changed (%)": round(100 * (gap > 0).float().mean().item(), 2),
                    "mean change (levels)": round(gap.float().mean().item(), 2),
                    "largest change (levels)": int(gap.max()),
                }
            )
    return pd.DataFrame(rows)


def affine_table(size: int, count: int = 2000, seed: int = 0) -> pd.DataFrame:
    """What the affine map does to the frame: how far the centre moves, how much turns black."""
    drawn = augment.draw(count, size, size, torch.Generator().manual_seed(seed))
    white = torch.full((1, 1, size, size), 255, dtype=torch.uint8).expand(count, -1, -1, -1)
    black = (warp(white, augment.steps(drawn, size, size)) == 0).float().mean((1, 2, 3))
    moved = torch.hypot(drawn.translate_x.float(), drawn.translate_y.float())
    rows = {
        "the centre moves by (pixels)": moved,
        "the centre moves by (% of the side)": 100 * moved / size,
        "the frame turns black (% of its pixels)": 100 * black,
    }
    values = [(name, v.mean().item(), v.max().item()) for name, v in rows.items()]
    return pd.DataFrame(values, columns=["effect", "mean", "largest"]).round(2)


@styled
def gray_panels(rgb: np.ndarray, gray: np.ndarray) -> Figure:
    """One image as the RGB and as the one-channel runs see it: uint8 (H, W, 3) and (H, W, 1)."""
    figure, (left, middle, right) = new_figure(1, 3, height=3.5)
    show_image(left, rgb, "RGB: 3 channels")
    show_image(middle, gray, "Grayscale: 1 channel")
    bins = np.arange(0, 257, 8)
    colours = {"red": VERMILLION, "green": GREEN, "blue": BLUE, "gray": BLACK}
    channels = [*np.moveaxis(rgb, 2, 0), gray]
    for (name, colour), channel in zip(colours.items(), channels, strict=True):
        right.stairs(np.histogram(channel, bins)[0], bins, color=colour, label=name, linewidth=1.5)
    right.set(xlabel="level", ylabel="pixels", title="Levels of this image")
    right.legend()
    return figure


def agreement_table(images: Tensor, parameters: Parameters) -> pd.DataFrame:
    """The batched transforms against torchvision's, one image at a time, same parameters.

    images: uint8 (B, C, H, W). One row per transform: images compared, pixels that differ, and
    the largest difference in levels of 255.
    """
    height, width = images.shape[-2:]
    ours = warp(images, augment.steps(parameters, height, width))
    theirs = torch.stack([_torchvision(image, parameters, i) for i, image in enumerate(images)])
    gap = (ours.int() - theirs.int()).abs()
    return pd.DataFrame(
        [
            {
                "transform": "RandomHorizontalFlip, RandomAffine",
                "images": len(images),
                "pixels": images[:, 0].numel(),
                "pixels that differ": int(gap.amax(1).gt(0).sum()),
                "largest difference (levels)": int(gap.max()),
            }
        ]
    )


def _torchvision(image: Tensor, parameters: Parameters, i: int) -> Tensor:
    """Image i of the batch by torchvision's own functions on a PIL image."""
    pixels = image.permute(1, 2, 0).squeeze(2).contiguous().numpy()
    picture = Image.fromarray(pixels)
    if parameters.flip[i]:
        picture = F.hflip(picture)
    picture = F.affine(
        picture,
        angle=parameters.angle[i].item(),
        translate=[int(parameters.translate_x[i]), int(parameters.translate_y[i])],
        scale=parameters.scale[i].item(),
        shear=[parameters.shear[i].item(), 0.0],
        interpolation=InterpolationMode.NEAREST,
    )
    return F.pil_to_tensor(picture)


def _picture(image: Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).numpy()
