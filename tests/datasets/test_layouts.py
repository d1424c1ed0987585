"""Every layout gives the same DataFrame; anything else gives a message that helps."""

import os
import shutil
from pathlib import Path

import layout_makers as make
import numpy as np
import pandas as pd
import pytest
from layout_makers import IMAGES, NAMES, message

from effnet.datasets import stanford
from effnet.datasets.folders import split_by_name
from effnet.datasets.layouts import class_names, open_dataset, read_annotations
from effnet.errors import EffnetError

BOXES = ["x1", "y1", "x2", "y2"]
COLUMNS = ["path", "class_id", "class_name", "split", *BOXES]


def build(layout: str, tmp: Path) -> Path:
    """Make a layout; returns its data_dir."""
    root = tmp / "data"
    if layout == "stanford_cars/":
        make.torchvision_layout(root / "stanford_cars")
    elif layout == "torchvision":
        make.torchvision_layout(root)
    elif layout == "nested":
        make.torchvision_layout(root, nested=True)
    elif layout == "nested with car_devkit/devkit":
        make.torchvision_layout(root, nested=True, devkit="car_devkit/devkit")
    elif layout == "car_ims, mat":
        make.thesis_layout(root)
    elif layout == "car_ims, csv":
        make.thesis_layout(root, "csv")
    elif layout in ("folders -", "folders _"):
        make.class_folders(root, slash=layout[-1])
    elif layout == "folders in folders":
        make.class_folders(root / "car_data" / "car_data")
    elif layout == "train and val":
        make.class_folders(root, test="val")
    elif layout == "csv":
        make.csv_layout(root)
    elif layout == "csv file":
        return make.csv_layout(root) / "list.csv"
    elif layout == "parquet":
        make.parquet_layout(root)
    elif layout == "original archives":
        make.original_archives(root, tmp / "source")
    elif layout == "car_ims.tgz":
        make.thesis_layout(tmp / "source")
        make.tar(root / "car_ims.tgz", tmp / "source", "car_ims")
        shutil.copy(tmp / "source" / "cars_annos.mat", root)
    elif layout == "zip":
        make.torchvision_layout(tmp / "source", nested=True)
        make.zip_all(root / "archive.zip", tmp / "source")
    elif layout == "zip file":
        make.class_folders(tmp / "source")
        make.zip_all(root / "archive.zip", tmp / "source", prefix="cars/")
        return root / "archive.zip"
    return root


LAYOUTS = {
    "torchvision": True,
    "stanford_cars/": True,
    "nested": True,
    "nested with car_devkit/devkit": True,
    "car_ims, mat": True,
    "car_ims, csv": True,
    "folders -": False,
    "folders _": False,
    "folders in folders": False,
    "train and val": False,
    "csv": True,
    "csv file": True,
    "parquet": False,
    "original archives": True,
    "car_ims.tgz": True,
    "zip": True,
    "zip file": False,
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_rows(layout, tmp_path):
    if layout == "parquet":
        pytest.importorskip("pyarrow")
    dataset = open_dataset(build(layout, tmp_path), work_dir=tmp_path / "work")
    table = dataset.annotations
    assert list(table.columns) == COLUMNS
    assert table["class_id"].dtype == np.int64
    assert all(table[name].dtype == np.float64 for name in BOXES)
    assert table["split"].tolist() == ["train"] * 8 + ["test"] * 3
    assert dataset.class_names == class_names(table) == NAMES
    # A row is recognised by the bytes of its file, since names and order differ by layout.
    number = {make.picture(i): i for i in range(len(IMAGES))}
    found = [number[(dataset.root / path).read_bytes()] for path in table["path"]]
    assert sorted(found) == list(range(len(IMAGES)))
    assert [(c, s) for c, s in zip(table["class_id"], table["split"], strict=True)] == [
        IMAGES[i] for i in found
    ]
    assert table["class_name"].tolist() == [NAMES[IMAGES[i][0]] for i in found]
    if LAYOUTS[layout]:
        assert table[BOXES].to_numpy().tolist() == [list(make.box(i)) for i in found]
    else:
        assert table[BOXES].isna().all(axis=None)
    assert not any("\\" in path or path.startswith("/") for path in table["path"])


def test_read_annotations_and_the_order_of_the_list(tmp_path):
    table = read_annotations(make.torchvision_layout(tmp_path))
    expected = [f"cars_train/{i:05d}.jpg" for i in range(1, 9)]
    assert table["path"].tolist() == expected + [f"cars_test/{i:05d}.jpg" for i in range(1, 4)]
    order = [IMAGES[i][0] for i in make.ordered("train") + make.ordered("test")]
    assert table["class_id"].tolist() == order


def test_the_real_sample():
    root = os.environ.get("STANFORD_CARS")
    if not root:
        pytest.skip("STANFORD_CARS names no folder of real images")
    dataset = open_dataset(root)
    table = dataset.annotations
    assert len(dataset.class_names) == 196
    assert dataset.class_names[118] == "GMC Savana Van 2012"
    assert set(table["class_id"]) == set(range(196))
    assert all((dataset.root / path).is_file() for path in table["path"])


@pytest.mark.parametrize("real", [False, True])
def test_torchvision_itself_reads_the_same_rows(real, tmp_path):
    from torchvision.datasets import StanfordCars

    if real and not os.environ.get("STANFORD_CARS"):
        pytest.skip("STANFORD_CARS names no folder of real images")
    if real:
        (tmp_path / "stanford_cars").symlink_to(os.environ["STANFORD_CARS"])
    else:
        make.torchvision_layout(tmp_path / "stanford_cars")
    table = read_annotations(tmp_path)
    for split in ("train", "test"):
        reference = StanfordCars(tmp_path, split)._samples
        rows = table[table["split"] == split]
        assert [Path(path) for path, _ in reference] == [tmp_path / path for path in rows["path"]]
        assert [label for _, label in reference] == rows["class_id"].tolist()


def test_official_ids_come_back_from_class_folders(tmp_path):
    names = stanford.official_names()
    assert len(names) == 196
    for name in names:
        for split in ("train", "test"):
            folder = name.replace("/", "").replace(" ", "_").upper()
            make.write(tmp_path / split / folder / "1.jpg", b"")
    dataset = open_dataset(tmp_path)
    assert dataset.class_names == names
    table = dataset.annotations
    assert table["class_name"].tolist() == [names[i] for i in table["class_id"]]


def test_other_classes_are_numbered_by_name_and_numbers_by_value(tmp_path):
    for name in ("b", "a", "C"):
        for split in ("train", "test"):
            make.write(tmp_path / "f" / split / name / "1.png", b"x")
    assert open_dataset(tmp_path / "f").class_names == ["C", "a", "b"]
    rows = [["path", "label", "split"]]
    for number in (10, 9, 2):
        make.write(tmp_path / "c" / f"{number}.jpg", b"x")
        make.write(tmp_path / "c" / f"{number}t.jpg", b"x")
        rows += [[f"{number}.jpg", number, "train"], [f"{number}t.jpg", number, "test"]]
    make.write_csv(tmp_path / "c" / "x.csv", rows)
    assert open_dataset(tmp_path / "c").class_names == ["2", "9", "10"]


def test_a_split_is_made_where_there_is_none_and_stays(tmp_path):
    for name in ("cat", "dog"):
        for i in range(10):
            make.write(tmp_path / name / f"{i}.jpg", b"x")
    make.write(tmp_path / "owl" / "1.jpg", b"x")
    first = read_annotations(tmp_path).set_index("path")["split"]
    counts = first.groupby([path.split("/")[0] for path in first.index]).value_counts()
    assert counts["cat", "test"] == counts["dog", "test"] == 2
    assert ("owl", "test") not in counts.index
    make.write(tmp_path / "cat" / "new.jpg", b"x")
    second = read_annotations(tmp_path).set_index("path")["split"]
    assert (second[first.index] != first).sum() <= 2
    paths, labels = list(first.index), [path.split("/")[0] for path in first.index]
    order = np.random.default_rng(0).permutation(len(paths))
    shuffled = split_by_name([paths[i] for i in order], [labels[i] for i in order])
    assert [first[paths[i]] for i in order] == shuffled


def test_three_splits_leave_val_to_training(tmp_path):
    for split in ("train", "val", "test"):
        for name in ("a", "b"):
            make.write(tmp_path / split / name / f"{split}.jpg", b"x")
    table = read_annotations(tmp_path)
    assert table["split"].tolist() == ["train"] * 4 + ["test"] * 2
    assert all(path.startswith("test/") for path in table["path"][4:])


def test_a_folder_that_fits_nothing_is_explained(tmp_path):
    assert "no such folder" in message(tmp_path / "missing")
    assert "Found: nothing" in message(tmp_path)
    make.torchvision_layout(tmp_path)
    (tmp_path / "cars_test_annos_withlabels.mat").unlink()
    text = message(tmp_path)
    assert "Found: cars_test/, cars_train/, devkit/." in text
    for words in ("car_ims/", "train/<class>/<image>", "path, label", "parquet", ".tgz"):
        assert words in text
    assert "Nearest: Stanford Cars as torchvision reads it" in text
    assert text.endswith("missing: cars_test_annos_withlabels.mat.\n`make data` says where to get "
                         "what is missing.")  # fmt: skip


def test_parts_of_stanford_cars_are_never_taken_for_classes(tmp_path):
    """cars_train/ and cars_test/ are two folders of images, as two classes would be."""
    make.torchvision_layout(tmp_path, nested=False)
    shutil.rmtree(tmp_path / "devkit")
    make.thesis_layout(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "cars_annos.mat", tmp_path)
    shutil.rmtree(tmp_path / "other")
    text = message(tmp_path)
    assert "cars_annos.mat does not label these images" in text
    for split in ("train", "test"):
        make.write(tmp_path / "flat" / split / "1.jpg", b"x")
    assert "fits no layout" in message(tmp_path / "flat")


def test_a_class_of_one_split_only_is_refused(tmp_path):
    make.class_folders(tmp_path)
    (tmp_path / "test" / NAMES[0]).rename(tmp_path / "test" / (NAMES[0] + "."))
    assert "spelled alike" in message(tmp_path)


def test_a_list_of_files_that_are_not_there_is_refused(tmp_path):
    make.csv_layout(tmp_path)
    shutil.rmtree(tmp_path / "pictures")
    assert "none of the 11 images" in message(tmp_path)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (["../x.jpg", "a", "train"], "outside the folder"),
        (["/etc/passwd", "a", "train"], "outside the folder.* relative to it"),
        (["C:\\x.jpg", "a", "train"], "outside the folder"),
        (["1.jpg", "a", "train"], "listed twice"),
        (["2.jpg", "", "train"], "no label"),
        (["2.jpg", "a", "holdout"], "allowed are train, test and val"),
        (["2.jpg", "a"], "has 2 fields"),
        (["2.jpg", "a\x00b", "train"], "control characters|not a readable CSV"),
        (["2.jpg", "z", "test"], "no training images"),
    ],
)
def test_bad_rows_of_a_csv(row, words, tmp_path):
    rows = [["path", "label", "split"], ["0.jpg", "a", "train"], ["1.jpg", "a", "test"], row]
    make.write(tmp_path / "0.jpg", b"x")
    make.write_csv(tmp_path / "x.csv", rows)
    with pytest.raises(EffnetError, match=words):
        open_dataset(tmp_path / "x.csv")


@pytest.mark.parametrize("header", ["path,label,splt", "path,label,x1", "path,labels,split"])
def test_misspelled_columns_of_a_csv_are_refused(header, tmp_path):
    make.write(tmp_path / "x.csv", f"{header}\n0.jpg,a,train\n1.jpg,a,test\n".encode())
    with pytest.raises(EffnetError, match=f"found {', '.join(header.split(','))}"):
        open_dataset(tmp_path / "x.csv")


def test_class_ids_of_a_csv(tmp_path):
    make.write(tmp_path / "0.jpg", b"x")

    def read(*ids):
        rows = [["path", "label", "split", "class_id"]]
        labels = ["zebra", "ant", "zebra", "ant"]
        for i, (label, class_id) in enumerate(zip(labels, ids, strict=True)):
            rows.append([f"{i}.jpg", label, ("train", "test")[i // 2], class_id])
        make.write_csv(tmp_path / "x.csv", rows)
        return open_dataset(tmp_path / "x.csv").class_names

    assert read(0, 1, 0, 1) == ["zebra", "ant"]
    for bad in ((1, 2, 1, 2), (0, 1, 1, 1), (0, 0, 0, 0), (0, 2, 0, 2), (0, 1, 0, "x")):
        with pytest.raises(EffnetError, match="class_id"):
            read(*bad)


def annotations_of(tmp_path, change):
    """Stanford's train list with one value of row 3 changed, then read."""
    root = make.torchvision_layout(tmp_path)
    rows = [[*make.box(i), IMAGES[i][0] + 1, f"{n:05d}.jpg"]
            for n, i in enumerate(make.ordered("train"), 1)]  # fmt: skip
    change(rows[2])
    fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"]
    make.save_mat(root / "devkit" / "cars_train_annos.mat", rows, fields)
    return root


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        (4, 0, "class ids are not whole numbers from 1 to 4; row 3"),
        (4, 5, "class ids are not whole numbers from 1 to 4; row 3"),
        (4, 1.5, "class ids"),
        (4, "x", "'class' of row 3 .* not a number"),
        (0, float("nan"), "'bbox_x1' of row 3 is .*nan.*, not a number"),
        (5, "00001.jpg", "listed twice: 00001.jpg"),
        (5, "../00001.jpg", "outside the folder"),
        (5, "", "no image name"),
    ],
)
def test_bad_values_in_a_mat(column, value, words, tmp_path):
    root = annotations_of(tmp_path, lambda row: row.__setitem__(column, value))
    with pytest.raises(EffnetError, match=words):
        open_dataset(root)


def test_the_one_based_csv_of_someone_else_is_refused(tmp_path):
    root = make.thesis_layout(tmp_path, "csv")
    table = pd.read_csv(root / "cars_annos.csv")
    table["class"] += 1
    table.to_csv(root / "cars_annos.csv", index=False)
    assert "class ids are not whole numbers from 0 to 3" in message(root)
