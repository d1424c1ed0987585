"""Batched augmentation against torchvision's per-image transforms, bit for bit."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.transforms as transforms
import torchvision.transforms.functional as functional
from PIL import Image

from effnet.augment import Augment, Parameters, draw, steps
from effnet.fast.warp import warp, warp_gather

MEAN, STD = (0.470, 0.460, 0.455), (0.267, 0.266, 0.270)


def noise(batch: int, channels: int, height: int, width: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, channels, height, width)
    return torch.randint(1, 256, shape, dtype=torch.uint8, generator=generator)


def to_pil(image: torch.Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy().squeeze(2 if len(image) == 1 else ()))


def torchvisions(image: Image.Image, parameters: Parameters, i: int) -> Image.Image:
    """The thesis's flip and affine, by torchvision, with the parameters of image i."""
    if parameters.flip[i]:
        image = functional.hflip(image)
    return functional.affine(
        image,
        angle=parameters.angle[i].item(),
        translate=[parameters.translate_x[i].item(), parameters.translate_y[i].item()],
        scale=parameters.scale[i].item(),
        shear=[parameters.shear[i].item(), 0.0],
        interpolation=transforms.InterpolationMode.NEAREST,
        fill=0,
    )


def reference(images: torch.Tensor, parameters: Parameters) -> torch.Tensor:
    warped = [np.array(torchvisions(to_pil(x), parameters, i)) for i, x in enumerate(images)]
    _, channels, height, width = images.shape
    return torch.tensor(np.stack(warped)).view(-1, height, width, channels).permute(0, 3, 1, 2)


@pytest.mark.parametrize("apply", [warp, warp_gather])
@pytest.mark.parametrize(
    ("batch", "channels", "height", "width"),
    [(400, 3, 64, 64), (40, 3, 224, 224), (300, 1, 33, 33), (200, 3, 20, 47), (50, 1, 1, 9)],
)
def test_equals_torchvision_bit_for_bit(apply, batch, channels, height, width):
    # Tolerance zero: both ways compute the same integers as Pillow.
    images = noise(batch, channels, height, width)
    parameters = draw(batch, height, width, torch.Generator().manual_seed(1))
    assert parameters.flip.any() and not parameters.flip.all()
    result = apply(images, steps(parameters, height, width))
    assert result.dtype == torch.uint8 and result.shape == images.shape
    torch.testing.assert_close(result, reference(images, parameters), rtol=0, atol=0)


@pytest.mark.parametrize("apply", [warp, warp_gather])
@pytest.mark.parametrize(
    ("angle", "translation", "scale", "shear"),
    [
        (0.0, 0, 1.0, 0.0),
        (0.0, 5, 1.0, 0.0),
        (90.0, 0, 1.0, 0.0),
        (180.0, -3, 1.0, 0.0),
        (0.0, 0, 0.5, 0.0),
        (0.0, 0, 2.0, 0.0),
        (0.0, 40, 1.0, 0.0),  # pushed out of the image: all black
        (1e-5, 2, 1.0, -1e-5),  # rounds to no rotation at all
        (-25.0, 6, 0.9, 8.0),
    ],
)
def test_corner_cases_equal_torchvision(apply, angle, translation, scale, shear):
    images = noise(2, 3, 32, 32)
    parameters = Parameters(
        flip=torch.tensor([False, True]),
        angle=torch.tensor([angle] * 2),
        translate_x=torch.tensor([translation] * 2),
        translate_y=torch.tensor([-translation] * 2),
        scale=torch.tensor([scale] * 2),
        shear=torch.tensor([shear] * 2),
    )
    result = apply(images, steps(parameters, 32, 32))
    torch.testing.assert_close(result, reference(images, parameters), rtol=0, atol=0)
    if translation == 40:
        assert not result.any()


def test_result_does_not_depend_on_the_memory_format():
    images = noise(4, 3, 24, 24)
    drawn = steps(draw(4, 24, 24, torch.Generator().manual_seed(0)), 24, 24)
    last = images.contiguous(memory_format=torch.channels_last)
    for apply in (warp, warp_gather):
        assert torch.equal(apply(images, drawn), apply(last, drawn))


def test_drawn_like_torchvision_draws():
    """Range, mean and spread of 200,000 draws are those of RandomAffine.get_params."""
    n, height, width = 200_000, 224, 100
    drawn = draw(n, height, width, torch.Generator().manual_seed(0))
    assert abs(drawn.flip.double().mean() - 0.5) < 5 * 0.5 / math.sqrt(n)
    for values, limit in ((drawn.angle, 25.0), (drawn.shear, 8.0)):
        assert -limit <= values.min() < -0.999 * limit and 0.999 * limit < values.max() <= limit
        assert abs(values.double().mean()) < 5 * limit / math.sqrt(3 * n)
        assert values.double().std() == pytest.approx(limit / math.sqrt(3), rel=0.01)
    assert 0.9 <= drawn.scale.min() < 0.9002 and 1.0998 < drawn.scale.max() <= 1.1
    assert drawn.scale.double().mean() == pytest.approx(1.0, abs=0.001)
    # Uniform, then rounded: the outermost of the whole pixels is hit less often than the others.
    for values, limit in ((drawn.translate_x, 10.0), (drawn.translate_y, 22.4)):
        assert values.dtype == torch.int64
        assert values.min() == -round(limit) and values.max() == round(limit)
        share = (values == round(limit)).double().mean().item()
        assert share == pytest.approx((limit - round(limit) + 0.5) / (2 * limit), rel=0.06)
        assert (values == 0).double().mean().item() == pytest.approx(0.5 / limit, rel=0.06)
    # Every image has its own; nothing is correlated.
    columns = torch.stack([getattr(drawn, f).double() for f in Parameters.__annotations__])
    correlation = torch.corrcoef(columns) - torch.eye(6, dtype=torch.float64)
    assert correlation.abs().max() < 0.015
    torch.manual_seed(0)
    theirs = [
        transforms.RandomAffine.get_params(
            [-25.0, 25.0], [0.1, 0.1], [0.9, 1.1], [-8.0, 8.0], [width, height]
        )
        for _ in range(3000)
    ]
    x = np.array([t[1] for t in theirs])
    assert x.min(0).tolist() == [-10, -22] and x.max(0).tolist() == [10, 22]


def test_drawn_from_the_given_generator_alone():
    def drawn(seed: int, batch: int = 7) -> torch.Tensor:
        return steps(draw(batch, 64, 64, torch.Generator().manual_seed(seed)), 64, 64)

    torch.manual_seed(5)
    state = torch.get_rng_state()
    assert torch.equal(drawn(1), drawn(1)) and not torch.equal(drawn(1), drawn(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(draw(7, 64, 64).angle, draw(7, 64, 64).angle)  # without: the global one
    generator = torch.Generator().manual_seed(1)
    first, second = draw(7, 64, 64, generator), draw(7, 64, 64, generator)
    assert not torch.equal(first.angle, second.angle)


@pytest.mark.parametrize("channels_last", [True, False])
@pytest.mark.parametrize("channels", [3, 1])
def test_augment_equals_the_thesiss_chain(channels, channels_last):
    """Whole chain, ToTensor and Normalize included, to float32's rounding.

    (x / 255 - mean) / std is computed as x times a factor plus an offset, each rounded once: a few
    units in the last place of numbers up to 2.
    """
    mean, std = MEAN[:channels], STD[:channels]
    finish = transforms.Compose([transforms.ToTensor(), transforms.Normalize(mean, std)])
    images = noise(6, channels, 40, 30)
    augment = Augment(mean, std, channels_last=channels_last)
    for train in (True, False):
        result = augment(images, train, torch.Generator().manual_seed(3))
        parameters = draw(6, 40, 30, torch.Generator().manual_seed(3))
        expected = [
            finish(torchvisions(to_pil(x), parameters, i) if train else to_pil(x))
            for i, x in enumerate(images)
        ]
        assert result.dtype == torch.float32 and result.shape == images.shape
        torch.testing.assert_close(result, torch.stack(expected), rtol=0, atol=5e-7)
        wanted = torch.channels_last if channels_last else torch.contiguous_format
        assert result.is_contiguous(memory_format=wanted)


def test_fill_is_black_before_normalisation():
    images = torch.full((1, 3, 16, 16), 200, dtype=torch.uint8)
    one = torch.ones(1)
    shifted = Parameters(one < 0, one * 0, (one * 4).long(), (one * 0).long(), one, one * 0)
    result = Augment(MEAN, STD).apply_steps(images, steps(shifted, 16, 16))
    black = -torch.tensor(MEAN) / torch.tensor(STD)
    torch.testing.assert_close(result[0, :, :, :4], black.view(3, 1, 1).expand(3, 16, 4))
    assert (result[0, :, :, 4:] > 0).all()


def test_accelerator_path_equals_the_cpus():
    """The operations that run on a GPU, here on the CPU's tensors."""
    images = noise(9, 3, 32, 32)
    drawn = steps(draw(9, 32, 32, torch.Generator().manual_seed(0)), 32, 32)
    augment = Augment(MEAN, STD)
    on_cpu = augment.apply_steps(images, drawn)
    batched = augment.normalise_batch(warp_gather(images, drawn))
    assert batched.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(batched, on_cpu, rtol=0, atol=5e-7)
    # No data-dependent branch and no round trip to the host: one graph, for torch.compile.
    compiled = torch.compile(warp_gather, backend="eager", fullgraph=True)
    assert torch.equal(compiled(images, drawn), warp(images, drawn))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_equals_the_cpu():
    images = noise(50, 3, 64, 64)
    generator = torch.Generator()
    augment = Augment(MEAN, STD)
    on_cpu = augment(images, True, generator.manual_seed(0))
    drawn = steps(draw(50, 64, 64, generator.manual_seed(0)), 64, 64)
    assert torch.equal(warp(images.cuda(), drawn).cpu(), warp(images, drawn))
    on_gpu = augment.cuda()(images.cuda(), True, generator.manual_seed(0))
    assert on_gpu.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=0, atol=5e-7)


def test_checkpoints_hold_nothing_of_it():
    assert Augment(MEAN, STD).state_dict() == {}


@pytest.mark.skipif(not os.environ.get("STANFORD_CARS"), reason="STANFORD_CARS is not set")
def test_real_images_equal_torchvision():
    files = sorted(Path(os.environ["STANFORD_CARS"]).rglob("*.jpg"))[::500]
    assert len(files) > 5
    rows = [
        np.array(Image.open(f).convert("RGB").resize((224, 224), Image.BILINEAR)) for f in files
    ]
    images = torch.tensor(np.stack(rows)).permute(0, 3, 1, 2)
    parameters = draw(len(files), 224, 224, torch.Generator().manual_seed(0))
    for apply in (warp, warp_gather):
        result = apply(images, steps(parameters, 224, 224))
        assert torch.equal(result, reference(images, parameters))
