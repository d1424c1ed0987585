"""What the kit is measured against: the thesis's data path, and B0 by four libraries."""

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


def network(name: str) -> nn.Module:
    """B0 with the thesis's dropout and drop connect, by the kit or by one of its peers."""
    if name == "ours":
        return effnet.build_model("b0", num_classes=CLASSES, padding="symmetric")
    if name == "efficientnet_pytorch":
        from efficientnet_pytorch import EfficientNet

        return EfficientNet.from_name("efficientnet-b0", num_classes=CLASSES)
    if name == "timm":
        import timm

        rates = {"drop_rate": 0.2, "drop_path_rate": 0.2}
        return timm.create_model("efficientnet_b0", num_classes=CLASSES, **rates)
    from torchvision.models import efficientnet_b0

    return efficientnet_b0(num_classes=CLASSES)
