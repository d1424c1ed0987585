"""What the kit is measured against: the thesis's data path, B0 by four libraries, lite0 by two."""

from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import effnet
from effnet.augment import NORMALIZATIONS
from effnet.data import CarsDataModule
from effnet.training.fold import folded
from effnet.weights.formats import our_names
from effnet.weights.load import load_weights

CLASSES = 196
MEAN, STD = NORMALIZATIONS["thesis", 3]
THESIS_WORKERS = 4  # settings of the thesis's loader


class Photographs(Dataset):
    """The thesis's way: open, convert, resize and augment a file whenever it is asked for."""

    def __init__(self, paths: list[Path], labels: list[int], transform: Callable) -> None:
        self.paths, self.labels, self.transform = paths, labels, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        with Image.open(self.paths[row]) as image:
            return self.transform(image.convert("RGB")), self.labels[row]


def thesis_loader(data: CarsDataModule, split: str, workers: int, batch: int) -> DataLoader:
    """The transforms of thesis section 5.3, image by image, in worker processes."""
    size = (data.image_size, data.image_size)
    augmentation = [
        transforms.RandomHorizontalFlip(),
        transforms.RandomAffine(25, translate=(0.1, 0.1), scale=(0.9, 1.1), shear=8),
    ]
    transform = transforms.Compose(
        [
            transforms.Resize(size),
            *(augmentation if split == "train" else []),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    rows = data.split_rows(split)
    images = Photographs([data.root / p for p in rows["path"]], rows["label"].tolist(), transform)
    # Kept workers, so that a short epoch does not pay for starting them.
    keep = {"persistent_workers": True, "pin_memory": torch.cuda.is_available()} if workers else {}
    return DataLoader(images, batch, shuffle=split == "train", num_workers=workers, **keep)


def network(name: str, scale: str = "b0") -> nn.Module:
    """B0 with the thesis's dropout and drop connect, by the kit or by one of its peers.

    `scale`: "lite0" and its like are timm's and ours only, both with TensorFlow's padding.
    """
    padding = "symmetric" if scale == "b0" else "same"
    if name == "ours":
        return effnet.build_model(scale, num_classes=CLASSES, padding=padding)
    if name == "efficientnet_pytorch":
        from efficientnet_pytorch import EfficientNet

        return EfficientNet.from_name("efficientnet-b0", num_classes=CLASSES)
    if name == "timm":
        import timm

        rates = {"drop_rate": 0.2, "drop_path_rate": 0.2}
        theirs = "efficientnet_b0" if scale == "b0" else f"tf_efficientnet_{scale}"
        return timm.create_model(theirs, num_classes=CLASSES, **rates)
    from torchvision.models import efficientnet_b0

    return efficientnet_b0(num_classes=CLASSES)


@torch.no_grad()
def logits_apart(size: int, images: int = 32) -> dict[str, float]:
    """How far our lite0's logits are from timm's with the same published ImageNet weights.

    On noise, the largest difference: of both as they are written (`plain`), and of ours as trials
    evaluate it, channels last and batch norms folded (`evaluated`). `largest`: the largest logit.
    """
    import timm

    ours, theirs = effnet.build_model("lite0"), timm.create_model("tf_efficientnet_lite0")
    load_weights(ours, "lite0", classifier="load")
    weights, (_, names) = ours.state_dict(), our_names(list(theirs.state_dict()))
    theirs.load_state_dict({name: weights[names[name]] for name in theirs.state_dict()})
    noise = torch.randn(images, 3, size, size, generator=torch.Generator().manual_seed(0))
    expected, plain = theirs.eval()(noise), ours.eval()(noise)
    evaluated = folded(ours.to(memory_format=torch.channels_last))(
        noise.to(memory_format=torch.channels_last)
    )
    gaps = {"plain": plain - expected, "evaluated": evaluated - expected, "largest": expected}
    return {"size": size} | {name: gap.abs().max().item() for name, gap in gaps.items()}
