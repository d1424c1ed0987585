"""Made-up pictures on disk, and the pixels that torchvision makes of a picture."""

from pathlib import Path

import numpy as np
import pandas as pd
import torchvision.transforms as transforms
from PIL import Image


def picture(width: int, height: int, seed: int = 0, mode: str = "RGB") -> Image.Image:
    """Smooth noise: JPEG keeps it, and every resize filter gives something else."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC).convert(mode)


def folder(root: Path, count: int = 5, suffix: str = "jpg", boxes: bool = True) -> pd.DataFrame:
    """Write `count` pictures of different sizes; return their annotations."""
    rows = []
    for i in range(count):
        width, height = 40 + 7 * i % 50, 30 + 11 * i % 40
        path = f"pictures/{i}.{suffix}"
        (root / "pictures").mkdir(parents=True, exist_ok=True)
        picture(width, height, i).save(root / path)
        rows.append((path, i % 2, f"class {i % 2}", "train", 3.0, 5.0, width - 4.0, height - 6.0))
    table = pd.DataFrame(
        rows, columns=["path", "class_id", "class_name", "split", "x1", "y1", "x2", "y2"]
    )
    return table if boxes else table.assign(x1=np.nan)


def reference(path: Path, size: int, channels: int) -> np.ndarray:
    chain = [transforms.Resize((size, size))]
    if channels == 1:
        chain.insert(0, transforms.Grayscale())
    with Image.open(path) as image:
        return np.array(transforms.Compose(chain)(image.convert("RGB"))).reshape(size, size, -1)
