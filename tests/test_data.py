"""The data module on a tiny folder in Stanford Cars' layout, and under a real Trainer."""

import os
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from PIL import Image
from scipy.io import savemat

from effnet.data import CarsDataModule, EpochBatches
from effnet.errors import EffnetError

NAMES = ["Ant Sedan 2001", "Bee Coupe 2002", "Cat Van 2003", "Dog SUV 2004"]


def write_cars(root: Path, train: list[int], test: list[int]) -> Path:
    """torchvision's layout with as many images of each class as listed, classes interleaved.

    Every pixel of image i of class c in a split is (10 c, 10 i, 0 for train or 99 for test).
    """
    (root / "devkit").mkdir(parents=True)
    savemat(root / "devkit/cars_meta.mat", {"class_names": np.array(NAMES, dtype=object)})
    for split, counts in (("train", train), ("test", test)):
        (root / f"cars_{split}").mkdir()
        rows = [(i, c) for c, count in enumerate(counts) for i in range(count)]
        annotations = []
        for number, (i, c) in enumerate(sorted(rows)):
            name = f"{number:05d}.png"
            color = (10 * c, 10 * i, 0 if split == "train" else 99)
            Image.new("RGB", (12, 9), color).save(root / f"cars_{split}" / name)
            annotations.append((1, 1, 12, 9, c + 1, name))
        kinds = [(f"bbox_{k}", "O") for k in ("x1", "y1", "x2", "y2")]
        table = np.array(annotations, dtype=[*kinds, ("class", "O"), ("fname", "O")])
        where = "devkit/cars_train_annos.mat"
        where = where if split == "train" else "cars_test_annos_withlabels.mat"
        savemat(root / where, {"annotations": table})
    return root


@pytest.fixture(scope="module")
def cars(tmp_path_factory) -> Path:
    return write_cars(tmp_path_factory.mktemp("data") / "cars", [10, 8, 6, 7], [4, 3, 2, 5])


@pytest.fixture
def module(cars, tmp_path):
    def make(**arguments) -> CarsDataModule:
        data = CarsDataModule(cars, 8, **({"cache_dir": tmp_path, "batch_size": 4} | arguments))
        data.setup()
        return data

    return make


def seen(loader) -> tuple[torch.Tensor, torch.Tensor]:
    batches = list(loader)
    return torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])


def test_batches_hold_the_right_pixels_and_labels(module):
    data = module()
    assert (data.num_classes, data.class_names) == (4, NAMES)
    assert data.class_ids.tolist() == [0, 1, 2, 3] and data.skipped == []
    for split, loader, blue in (
        ("train", data.train_dataloader(), 0),
        ("val", data.val_dataloader(), 99),
        ("test", data.test_dataloader(), 99),
    ):
        images, labels = seen(loader)
        assert len(labels) == len(data.split_rows(split)) == (31 if split == "train" else 14)
        assert images.dtype == torch.uint8 and images.shape[1:] == (3, 8, 8)
        assert labels.dtype == torch.int64
        assert torch.equal(
            images[:, 0], (10 * labels).to(torch.uint8)[:, None, None].expand(-1, 8, 8)
        )
        assert (images[:, 2] == blue).all()
    first, _ = next(iter(data.train_dataloader()))
    assert first.is_contiguous(memory_format=torch.channels_last)


def test_the_last_batch_is_kept(module):
    sizes = [len(labels) for _, labels in module(batch_size=4).train_dataloader()]
    assert sizes == [4] * 7 + [3] and len(module(batch_size=4).train_dataloader()) == 8
    assert [len(labels) for _, labels in module(batch_size=4).val_dataloader()] == [4, 4, 4, 2]
    assert [len(labels) for _, labels in module(batch_size=100).train_dataloader()] == [31]


def test_ordered_loader_follows_split_rows(module):
    data = module()
    for split in ("train", "val", "test"):
        rows = data.split_rows(split)
        images, labels = seen(data.ordered_loader(split))
        assert labels.tolist() == rows["label"].tolist()
        counted = rows.groupby("class_id").cumcount().to_numpy()
        assert images[:, 1, 0, 0].tolist() == (10 * counted).tolist()
        assert rows["path"].is_monotonic_increasing
    with pytest.raises(EffnetError, match="allowed are train, val, test"):
        data.split_rows("validation")


def test_order_depends_on_seed_and_epoch_alone(module):
    def orders(seed: int, epochs: list[int]) -> list[list[float]]:
        loader = module(seed=seed).train_dataloader()
        found = []
        for epoch in epochs:
            loader.sampler.set_epoch(epoch)
            images, labels = seen(loader)
            found.append((100 * labels + images[:, 1, 0, 0]).tolist())
        return found

    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = orders(0, [0, 1, 2])
    assert torch.equal(torch.get_rng_state(), before)
    assert orders(0, [2]) == first[2:]  # as after a resume, whatever was drawn before
    others = [first[0], first[1], first[2], *orders(1, [0, 1, 2])]
    assert len({tuple(order) for order in others}) == 6
    assert all(sorted(order) == sorted(first[0]) for order in others)


def test_shuffled_batches_are_uniform():
    batches = EpochBatches(torch.arange(5), 2, seed=0)
    places = torch.zeros(5, 5)
    for epoch in range(2000):
        batches.set_epoch(epoch)
        order = torch.cat(list(batches))
        places[order, torch.arange(5)] += 1
    assert (places / 2000 - 0.2).abs().max() < 0.05  # 5.6 standard deviations


def test_lightning_sets_the_epoch_also_when_it_resumes(module, tmp_path):
    class Recorder(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer, self.seen = torch.nn.Linear(3, 4), {}

        def training_step(self, batch, index):
            images, labels = batch
            marks = (100 * labels + images[:, 1, 0, 0]).tolist()
            self.seen.setdefault(self.current_epoch, []).extend(marks)
            logits = self.layer(images.float().mean((2, 3)) / 255)
            return torch.nn.functional.cross_entropy(logits, labels)

        def validation_step(self, batch, index):
            self.seen.setdefault("val", []).extend(batch[1].tolist())

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    def fit(epochs: int, checkpoint: Path | None = None) -> tuple[dict, pl.Trainer]:
        trainer = pl.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        recorder = Recorder()
        data = CarsDataModule(module().data_dir, 8, batch_size=4, cache_dir=tmp_path)
        trainer.fit(recorder, data, ckpt_path=checkpoint)
        return recorder.seen, trainer

    whole, _ = fit(3)
    assert len({tuple(whole[epoch]) for epoch in range(3)}) == 3
    assert whole["val"] == 3 * module().split_rows("val")["label"].tolist()
    _, trainer = fit(2)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed, _ = fit(3, tmp_path / "last.ckpt")
    assert set(resumed) == {2, "val"} and resumed[2] == whole[2]


def test_subsets(module):
    data = module(n_classes=2, max_per_class=3)
    assert (data.num_classes, data.class_names) == (2, NAMES[:2])
    assert data.split_rows("train")["label"].value_counts().to_dict() == {0: 3, 1: 3}
    images, labels = seen(data.ordered_loader("train"))
    assert sorted(zip(labels.tolist(), images[:, 1, 0, 0].tolist(), strict=True)) == [
        (c, 10 * i)
        for c in range(2)
        for i in range(3)  # the first three of each class
    ]
    assert len(data.split_rows("val")) == 6
    assert module(n_classes=2).data_hash != data.data_hash != module(n_classes=3).data_hash
    assert module(n_classes=2, max_per_class=3, seed=9).data_hash == data.data_hash


def test_holdout_is_stratified_and_leaves_the_test_split_alone(module):
    data = module(holdout=0.25)
    parts = {split: data.split_rows(split) for split in ("train", "val", "test")}
    assert parts["val"]["label"].value_counts().to_dict() == {0: 3, 1: 2, 2: 2, 3: 2}
    assert len(parts["train"]) == 31 - 9 and len(parts["test"]) == 14
    assert set(parts["train"]["path"]).isdisjoint(parts["val"]["path"])
    assert (parts["val"]["split"] == "train").all() and (parts["test"]["split"] == "test").all()
    images, _ = seen(data.val_dataloader())
    assert (images[:, 2] == 0).all()
    images, _ = seen(data.test_dataloader())
    assert (images[:, 2] == 99).all()

    def chosen(**arguments) -> list[str]:
        return module(holdout=0.25, **arguments).split_rows("val")["path"].tolist()

    assert chosen() == parts["val"]["path"].tolist() != chosen(seed=1)
    most = module(holdout=0.99).split_rows("train")["label"].value_counts()
    assert most.to_dict() == {0: 1, 1: 1, 2: 1, 3: 1}  # one of each stays to train on


def test_gray_images_have_one_channel(module):
    images, labels = seen(module(in_channels=1).ordered_loader("train"))
    assert images.shape == (31, 1, 8, 8)
    gray = Image.new("RGB", (1, 1), (30, 0, 0)).convert("L").getpixel((0, 0))
    assert (images[(labels == 3).nonzero()[0, 0]] == gray).all()


def test_resident_batches_are_the_same(module):
    here, there = module(), module()
    there.resident("cpu")
    assert there.nbytes == 45 * 8 * 8 * 3
    for (a, b), (c, d) in zip(here.train_dataloader(), there.train_dataloader(), strict=True):
        assert torch.equal(a, c) and torch.equal(b, d)
    meta = module()
    meta.resident("meta")  # stands for any other device
    images, labels = next(iter(meta.train_dataloader()))
    assert images.device.type == labels.device.type == "meta" and images.shape == (4, 3, 8, 8)


def test_unreadable_images_stop_or_are_left_out(tmp_path):
    root = write_cars(tmp_path / "cars", [4, 4, 4, 1], [2, 2, 2, 2])
    bad = sorted((root / "cars_train").iterdir())[5]
    bad.write_bytes(b"nothing")
    arguments = {"cache_dir": tmp_path / "cache", "batch_size": 3}
    with pytest.raises(EffnetError, match=f"1 of 21 images .*\n.*{bad.name}: not an image"):
        CarsDataModule(root, 8, **arguments).setup()
    data = CarsDataModule(root, 8, on_bad_image="skip", **arguments)
    data.setup()
    assert data.skipped == [(f"cars_train/{bad.name}", "not an image PIL knows")]
    assert bad.name not in data.split_rows("train")["path"].map(os.path.basename).tolist()
    images, labels = seen(data.train_dataloader())
    assert len(labels) == 12 and (labels >= 0).all()
    assert (images[:, 0, 0, 0] == 10 * labels).all()  # rows still match after the gap
    (root / "cars_train" / "00003.png").write_bytes(b"nothing")  # the only one of class 3
    data = CarsDataModule(root, 8, on_bad_image="skip", **arguments)
    with pytest.raises(EffnetError, match="no training image after unreadable .*: Dog SUV 2004"):
        data.setup()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"n_classes": 1}, "n_classes is 1; it must be at least 2"),
        ({"max_per_class": -1}, "max_per_class is -1"),
        ({"n_classes": 5}, r"n_classes is 5, but .*cars has 4 classes; allowed are 2 to 4"),
        ({"holdout": 1.0}, "holdout is 1.0"),
        ({"holdout": 0.01}, "holdout is 0.01: .* that is none"),
        ({"in_channels": 2}, "in_channels is 2"),
        ({"data_dir": "/nowhere"}, "/nowhere"),
    ],
)
def test_bad_requests_are_refused(cars, tmp_path, arguments, message):
    with pytest.raises(EffnetError, match=message):
        arguments = {"data_dir": cars, "image_size": 8, "cache_dir": tmp_path} | arguments
        CarsDataModule(**arguments).setup()


def test_missing_images_are_refused_before_any_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr("effnet.data.pixels", lambda *a, **k: pytest.fail("decoded"))
    no_test = write_cars(tmp_path / "a", [3, 3, 3, 3], [0, 0, 0, 1])
    with pytest.raises(EffnetError, match="no test images to validate on.*holdout"):
        CarsDataModule(no_test, 8, n_classes=3, cache_dir=tmp_path).setup()
    no_dogs = write_cars(tmp_path / "b", [3, 3, 3, 0], [1, 1, 1, 1])
    with pytest.raises(EffnetError, match="1 of 4 classes .* no training image: Dog SUV 2004"):
        CarsDataModule(no_dogs, 8, cache_dir=tmp_path).setup()


@pytest.mark.skipif(not os.environ.get("STANFORD_CARS"), reason="STANFORD_CARS is not set")
def test_real_images(tmp_path):
    root = Path(os.environ["STANFORD_CARS"])
    data = CarsDataModule(root, 48, n_classes=3, max_per_class=8, cache_dir=tmp_path, batch_size=5)
    data.setup()
    for split in ("train", "val"):
        rows = data.split_rows(split)
        images, labels = seen(data.ordered_loader(split))
        assert set(labels.tolist()) == {0, 1, 2}
        for image, label, row in zip(images, labels, rows.itertuples(), strict=True):
            with Image.open(root / row.path) as original:
                expected = original.convert("RGB").resize((48, 48), Image.Resampling.BILINEAR)
            np.testing.assert_array_equal(image.permute(1, 2, 0), np.asarray(expected))
            assert data.class_names[label] == row.class_name
