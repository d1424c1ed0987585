"""Parquet shards and torchvision's dataset classes become files on disk."""

import json
import struct
from pathlib import Path

import layout_makers as make
import numpy as np
import pytest
from layout_makers import message

from effnet.datasets.layouts import open_dataset


def test_parquet_reports_what_it_lacks(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    make.parquet_layout(tmp_path / "a")
    shard = next((tmp_path / "a" / "data").glob("test-*"))
    table = pq.read_table(shard)
    pq.write_table(table.set_column(1, "label", pa.array([0, 1, 4])), shard)
    assert "a label is 4" in message(tmp_path / "a", tmp_path / "work")
    pq.write_table(table.rename_columns(["image", "kind"]), shard)
    assert "needs one image column (bytes) and a label column" in message(
        tmp_path / "a", tmp_path / "work"
    )
    shard.write_bytes(shard.read_bytes()[:-100])
    assert "not a whole parquet file" in message(tmp_path / "a", tmp_path / "work")
    shard.unlink()
    assert "no test images" in message(tmp_path / "a", tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(
    "names, reason",
    [
        (["Volvo\x01", *make.NAMES[1:]], "holds control characters"),
        ([" ", *make.NAMES[1:]], "has no label"),
        (None, "has one class only (0)"),
    ],
)
def test_what_the_reader_refuses_is_not_put_in_place(names, reason, tmp_path):
    """As a flipped bit in the metadata makes them; None: all images are of one class."""
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    make.parquet_layout(tmp_path / "a")
    for shard in (tmp_path / "a" / "data").iterdir():
        table = pq.read_table(shard).replace_schema_metadata(None)
        if names:
            features = {"info": {"features": {"label": {"names": names}}}}
            table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
        else:
            table = table.set_column(1, "label", pa.array([0] * len(table)))
        pq.write_table(table, shard)
    said = message(tmp_path / "a", tmp_path / "work")
    assert said.startswith(f"{tmp_path / 'a' / 'data'}: ") and reason in said
    assert list((tmp_path / "work").iterdir()) == []


def test_parquet_labels_as_text_and_ids_with_gaps(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    for kind, labels in (("text", ["pear", "fig"]), ("gaps", [7, 3])):
        for split in ("train", "test"):
            images = [make.picture(0), make.picture(1)]
            (tmp_path / kind).mkdir(exist_ok=True)
            table = pa.table({"image": images, "label": labels})
            pq.write_table(table, tmp_path / kind / f"{split}.parquet")
    text = open_dataset(tmp_path / "text", tmp_path / "work")
    assert text.class_names == ["fig", "pear"]
    assert text.annotations["class_id"].tolist() == [1, 0, 1, 0]
    gaps = open_dataset(tmp_path / "gaps", tmp_path / "work")
    assert gaps.class_names == ["3", "7"]


def test_parquet_labels_of_two_kinds_are_refused(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    (tmp_path / "a").mkdir()
    for split, labels in (("train", [0, 1]), ("test", ["fig", "pear"])):
        table = pa.table({"image": [make.picture(0), make.picture(1)], "label": labels})
        pq.write_table(table, tmp_path / "a" / f"{split}.parquet")
    assert "some labels are numbers (0) and some are text ('fig')" in message(
        tmp_path / "a", tmp_path / "work"
    )
    assert list((tmp_path / "work").iterdir()) == []


def mnist(root: Path) -> None:
    """MNIST's raw files with 12 training and 4 test images."""
    folder = root / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for prefix, count in (("train", 12), ("t10k", 4)):
        pixels = np.random.default_rng(count).integers(0, 255, (count, 28, 28), np.uint8)
        head = struct.pack(">IIII", 0x803, count, 28, 28)
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
        labels = bytes(i % 4 for i in range(count))
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(
            struct.pack(">II", 0x801, count) + labels
        )


def food101(root: Path) -> None:
    meta = root / "food-101" / "meta"
    meta.mkdir(parents=True)
    for split, numbers in (("train", (1, 2)), ("test", (3,))):
        lists = {name: [f"{name}/{i}" for i in numbers] for name in ("ramen", "gyoza")}
        (meta / f"{split}.json").write_text(json.dumps(lists))
        for paths in lists.values():
            for i, path in enumerate(paths):
                make.write(root / "food-101" / "images" / f"{path}.jpg", make.picture(i))


def test_torchvision_datasets_by_name(tmp_path):
    from PIL import Image
    from torchvision.datasets import MNIST

    mnist(tmp_path)
    dataset = open_dataset(f"torchvision:MNIST@{tmp_path}", tmp_path / "work")
    assert dataset.class_names == ["0 - zero", "1 - one", "2 - two", "3 - three"]
    assert dataset.annotations["split"].tolist() == ["train"] * 12 + ["test"] * 4
    reference, label = MNIST(tmp_path, train=True)[5]
    row = dataset.annotations.iloc[5]
    assert row["class_id"] == label
    assert np.array_equal(np.asarray(Image.open(dataset.root / row["path"])), np.array(reference))
    food101(tmp_path)
    food = open_dataset(f"torchvision:Food101@{tmp_path}", tmp_path / "work")
    assert food.class_names == ["gyoza", "ramen"]
    assert food.annotations["split"].tolist() == ["train"] * 4 + ["test"] * 2


def test_torchvision_names_that_cannot_work(tmp_path):
    assert "no image classification dataset" in message("torchvision:Nothing", tmp_path)
    assert "no image classification dataset" in message("torchvision:FakeData", tmp_path)
    assert "cannot be opened below" in message(f"torchvision:CIFAR10@{tmp_path}", tmp_path / "w")
    assert not any((tmp_path / "w").iterdir())
