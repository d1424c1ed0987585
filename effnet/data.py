"""The images a trial sees, as a LightningDataModule over the pixel cache."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from effnet.datasets.cache import fingerprint, pixels
from effnet.datasets.layouts import open_dataset
from effnet.errors import EffnetError

SPLITS = ("train", "val", "test")


class CachedImages(Dataset):
    """Images and labels by row; a whole batch is one indexing operation.

    images: uint8 (N, H, W, C). labels: int64 (N,).
    """

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels = images, labels

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (B, C, H, W), in channels_last memory, and int64 (B,), on the images' device."""
        rows = rows.to(self.images.device, non_blocking=True)
        images = self.images.index_select(0, rows).permute(0, 3, 1, 2)
        return images, self.labels.index_select(0, rows)


class EpochBatches(Sampler[Tensor]):
    """Batches of rows, the last, shorter one included.

    With a seed they are shuffled by (seed, epoch) alone, so that an epoch trained again after a
    kill has the same batches; without one they keep their order.

    With `share` (r, w) it gives what process r of w has of each batch: its rows r, r + w, ... Of a
    batch smaller than w that may be none, or with a seed all of it: who trains needs images, and
    weighs these with 0 (`effnet.training.module`).
    """

    def __init__(
        self, rows: Tensor, batch_size: int, seed: int | None = None, share: tuple = (0, 1)
    ) -> None:
        self.rows, self.batch_size, self.seed, self.share = rows, batch_size, seed, share
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch, also when it resumes."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def whole(self, index: int) -> int:
        """Images of a batch, all shares together."""
        return min(self.batch_size, len(self.rows) - index * self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        # A generator looks at the epoch when the first batch is asked for. Lightning makes the
        # iterator of a resumed epoch before it says which epoch that is.
        rows = self.rows
        if self.seed is not None:
            word = np.random.SeedSequence((self.seed, self.epoch)).generate_state(3)[2]
            generator = torch.Generator().manual_seed(int(word))
            rows = rows[torch.randperm(len(rows), generator=generator)]
        rank, world = self.share
        for batch in rows.split(self.batch_size):
            own = batch[rank::world]
            yield own if len(own) or self.seed is None else batch


class CarsDataModule(pl.LightningDataModule):
    """Stanford Cars, or any data set that `layouts` reads, at one resolution.

    Batches are `(images uint8 (B, C, H, W), labels int64 (B,))`; augmentation and normalisation
    happen on the device. After `setup()`:

    root: folder that the paths are relative to.
    annotations: the rows used, with three more columns: `label` (0 to num_classes - 1), `part`
        ("train", "val" or "test"; the official test images are "val" when `holdout` is 0) and
        `row` (in the pixel cache).
    num_classes, class_names (by label), class_ids (int64, the data set's own id by label).
    data_hash: SHA-256 over these rows and the bytes of their files.
    skipped: (path, reason) of unreadable images that were left out.

    `together` (1) may be set: so many batches come as one wherever images are only evaluated.
    `share` ((0, 1)) may be set: what loaders give is one process's share (`EpochBatches`).

    Args:
        data_dir: folder in any layout of `layouts.open_dataset`.
        image_size: side in pixels. in_channels: 3 (RGB) or 1 (gray).
        batch_size: of training and validation alike, as in the thesis.
        seed: of the training order and of the choice of the held-out images.
        n_classes: only the first so many class ids (None: all).
        max_per_class: only the first so many images of each class in each split (None: all).
        crop, crop_margin: see `cache.pixels`. on_bad_image: "stop" or "skip".
        holdout: share of the training split held out, class by class, as "val"; 0 validates on the
            official test split, as the thesis did.
        cache_dir: where pixel caches lie (default data/cache).
    """

    def __init__(
        self,
        data_dir: Path | str,
        image_size: int,
        in_channels: int = 3,
        batch_size: int = 32,
        seed: int = 0,
        n_classes: int | None = None,
        max_per_class: int | None = None,
        crop: str = "none",
        crop_margin: float = 0.0,
        on_bad_image: str = "stop",
        holdout: float = 0.0,
        cache_dir: Path | str | None = None,
    ) -> None:
        super().__init__()
        for name, value in (
            ("batch_size", batch_size),
            ("n_classes", n_classes),
            ("max_per_class", max_per_class),
        ):
            least = 2 if name == "n_classes" else 1  # one class leaves nothing to tell apart
            if value is not None and value < least:
                raise EffnetError(f"{name} is {value}; it must be at least {least}")
        if not 0 <= holdout < 1:
            raise EffnetError(f"holdout is {holdout}; it is a share from 0 to below 1")
        self.data_dir, self.cache_dir = Path(data_dir), cache_dir
        self.image_size, self.in_channels = image_size, in_channels
        self.batch_size, self.seed = batch_size, seed
        self.n_classes, self.max_per_class = n_classes, max_per_class
        self.crop, self.crop_margin, self.on_bad_image = crop, crop_margin, on_bad_image
        self.holdout, self.together, self.share = holdout, 1, (0, 1)
        self.dataset: CachedImages | None = None

    def prepare_data(self) -> None:
        """Make the pixel cache, in one process of a machine."""
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Read the annotations and open (or make) the pixel cache; once, whatever `stage` says.

        Raises EffnetError: missing or unknown folder, a class or a split without images, more
        classes asked for than there are, unreadable images, too little disk.
        """
        if self.dataset is not None:
            return
        self.skipped: list[tuple[str, str]] = []
        found = open_dataset(self.data_dir)
        self.root = found.root
        table = self._select(found.annotations, found.class_names)
        self._divide(table)  # what is missing shows before anything is decoded
        self.data_hash = fingerprint(found.root, table, self.cache_dir)
        cached = pixels(
            found.root,
            table,
            self.image_size,
            self.in_channels,
            crop=self.crop,
            margin=self.crop_margin,
            cache_dir=self.cache_dir,
            on_bad_image=self.on_bad_image,
        )
        self.skipped = cached.skipped
        table["row"] = np.arange(len(table))
        self.annotations = self._divide(table.iloc[cached.rows].reset_index(drop=True))
        labels = torch.tensor(table["label"].to_numpy())
        # Copy-on-write rather than read-only: torch has no read-only tensors. Nothing writes.
        images = torch.from_numpy(np.load(cached.path, mmap_mode="c"))
        self.dataset = CachedImages(images, labels)

    def split_rows(self, split: str) -> pd.DataFrame:
        """The rows of `annotations` in "train", "val" or "test", in annotation order."""
        if split not in SPLITS:
            raise EffnetError(f"split is {split!r}; allowed are {', '.join(SPLITS)}")
        if split == "test" and not self.holdout:
            split = "val"
        return self.annotations[self.annotations["part"] == split]

    def train_dataloader(self) -> DataLoader:
        """Training batches, shuffled anew in every epoch."""
        return self._loader("train", self.seed)

    def val_dataloader(self) -> DataLoader:
        """Validation batches in annotation order."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader:
        """The official test split in annotation order."""
        return self._loader("test")

    def ordered_loader(self, split: str) -> DataLoader:
        """Batches of a split in the order of `split_rows(split)`."""
        return self._loader(split)

    def resident(self, device: torch.device | str) -> None:
        """Keep all pixels and labels on `device`; batches then come from there, uncopied."""
        self.setup()
        assert self.dataset is not None
        images, labels = self.dataset.images, self.dataset.labels
        self.dataset = CachedImages(images.to(device), labels.to(device))

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels: what `resident` takes of a device's memory."""
        assert self.dataset is not None
        return self.dataset.images.nbytes

    def _loader(self, split: str, seed: int | None = None) -> DataLoader:
        rows = torch.tensor(self.split_rows(split)["row"].to_numpy())
        assert self.dataset is not None
        together = self.together if seed is None else 1
        batches = EpochBatches(rows, self.batch_size * together, seed, self.share)
        # Workers would cost more than the indexing they do. The loader draws a number from its
        # generator per epoch; its own one keeps torch's global randomness untouched.
        return DataLoader(
            self.dataset, batch_size=None, sampler=batches, generator=torch.Generator()
        )

    def _select(self, annotations: pd.DataFrame, names: list[str]) -> pd.DataFrame:
        """The rows of the first classes and images asked for, with their labels."""
        wanted = self.n_classes or len(names)
        if wanted > len(names):
            raise EffnetError(
                f"n_classes is {wanted}, but {self.data_dir} has {len(names)} classes; "
                f"allowed are 2 to {len(names)}"
            )
        self.num_classes, self.class_names = wanted, names[:wanted]
        self.class_ids = np.arange(wanted)
        table = annotations[annotations["class_id"] < wanted]
        if self.max_per_class is not None:
            table = table.groupby(["split", "class_id"], sort=False).head(self.max_per_class)
        table = table.reset_index(drop=True)
        # The first classes are taken, so a label is the data set's own class id.
        return table.assign(label=table["class_id"])

    def _divide(self, table: pd.DataFrame) -> pd.DataFrame:
        """Add the column `part`; every class has a training image, and validation an image."""
        counts = table.loc[table["split"] == "train", "label"].value_counts()
        empty = [name for i, name in enumerate(self.class_names) if i not in counts.index]
        if empty:
            shown = ", ".join(empty[:5]) + (", ..." if len(empty) > 5 else "")
            reason = " after unreadable ones were left out" if self.skipped else ""
            raise EffnetError(
                f"{len(empty)} of {self.num_classes} classes in {self.data_dir} have no training "
                f"image{reason}: {shown}; add images, remove the class, or choose fewer classes "
                "with n_classes"
            )
        parts = self._hold_out(table) if self.holdout else table["split"].replace("test", "val")
        if not (parts == "val").any():
            raise EffnetError(
                f"holdout is {self.holdout}: of at most {counts.max()} images per class that is "
                "none; choose a larger share or more images per class"
                if self.holdout
                else f"{self.data_dir} has no test images to validate on for the classes chosen; "
                "add some, or hold out a share of the training images (validation holdout)"
            )
        return table.assign(part=parts)

    def _hold_out(self, table: pd.DataFrame) -> pd.Series:
        """The official splits, with a share of each class's training images turned to "val"."""
        parts = table["split"].copy()
        for label, group in table[table["split"] == "train"].groupby("label"):
            # Half a picture rounds up; a class keeps at least one picture to train on.
            count = min(int(self.holdout * len(group) + 0.5), len(group) - 1)
            random = np.random.default_rng((self.seed, int(label)))
            parts.loc[random.choice(group.index, count, replace=False)] = "val"
        return parts
