"""What lies in folders beside plain images: links to nothing, pipes, odd names, one class."""

import json
import os
import sys

import layout_makers as make
import pytest
from layout_makers import message
from places import as_nobody, open_folder

from effnet.data import CarsDataModule
from effnet.datasets.cache import pixels
from effnet.datasets.check import check
from effnet.datasets.layouts import open_dataset
from effnet.errors import EffnetError


def test_bad_entries_of_class_folders_are_listed_not_left_out(tmp_path):
    """A link to nothing, a folder and a pipe of an image's name: bad images, not absent ones."""
    root = make.class_folders(tmp_path / "data")
    whole = len(open_dataset(root).annotations)
    folder = root / "train" / make.NAMES[0]
    (folder / "a link.jpg").symlink_to("nowhere.jpg")
    (folder / "a folder.jpg").mkdir()
    os.mkfifo(folder / "a pipe.jpg")
    listed = open_dataset(root).annotations
    assert len(listed) == whole + 3
    with pytest.raises(EffnetError) as caught:
        pixels(root, listed, 8, cache_dir=tmp_path / "cache")
    assert str(caught.value).startswith("3 of 14 images")
    for name in ("a link", "a folder", "a pipe"):
        assert f"train/{make.NAMES[0]}/{name}.jpg: " in str(caught.value)
    used = pixels(root, listed, 8, cache_dir=tmp_path / "cache", on_bad_image="skip")
    assert len(used.rows) == whole and len(used.skipped) == 3
    kinds = check(root, progress=False)[1]["kind"].tolist()
    assert kinds.count("missing file") == 1 and kinds.count("unreadable file") == 2


def test_a_class_folder_that_is_a_link_to_nothing_is_refused(tmp_path):
    root = make.class_folders(tmp_path / "data")
    (root / "train" / "Lost Sedan 2001").symlink_to("/nowhere")
    assert "train/Lost Sedan 2001 (a link to nothing)" in message(root)


def opened(root, cache):
    """An error as a command says it."""
    try:
        CarsDataModule(root, 8, cache_dir=cache).setup()
    except EffnetError as error:
        sys.exit(str(error))


def test_what_another_user_may_not_read_is_named():
    with open_folder() as place:
        root = make.class_folders(place / "data")
        (root / "train" / make.NAMES[0] / "000000.jpg").chmod(0o000)
        (place / "cache").mkdir(mode=0o777)
        (place / "cache").chmod(0o777)
        said = as_nobody(opened, root, place / "cache").stderr
        assert "1 of 11 images" in said and "000000.jpg: cannot be read (Perm" in said
        (root / "train" / make.NAMES[0]).chmod(0o700)
        said = as_nobody(opened, root, place / "cache").stderr
        assert f"{make.NAMES[0]} cannot be read (Permission denied)" in said
        assert "Traceback" not in said


def test_pipes_in_place_of_lists_and_archives_are_not_waited_for(tmp_path):
    root = make.csv_layout(tmp_path / "csv")
    os.mkfifo(root / "another.csv")
    assert len(open_dataset(root).annotations) == 11
    (root / "list.csv").unlink()
    assert "fits no layout" in message(root)
    for name in ("cars_annos.mat", "x.zip", "train.parquet"):
        (tmp_path / name).mkdir()
        make.write(tmp_path / name / "car_ims" / "1.jpg", make.picture(1))
        os.mkfifo(tmp_path / name / name)
        assert "fits no layout" in message(tmp_path / name)


def test_one_class_is_refused(tmp_path):
    for split in ("train", "test"):
        make.write(tmp_path / split / "only" / "1.jpg", make.picture(1))
    assert "has one class only (only)" in message(tmp_path)


@pytest.mark.parametrize("name", [b"caf\xe9", b"two\nlines", b"bell\x07", "a\u2028b".encode()])
@pytest.mark.parametrize("of", ["image", "class", "data_dir"])
def test_names_that_no_list_can_hold_are_refused(name, of, tmp_path):
    root = tmp_path / ("data" if of != "data_dir" else os.fsdecode(name))
    make.class_folders(root)
    folder = root / "train" / make.NAMES[0]
    if of == "image":
        os.rename(folder / "000000.jpg", os.path.join(os.fsencode(folder), name + b".jpg"))
    elif of == "class":
        for split in ("train", "test"):
            old = root / split / make.NAMES[0]
            os.rename(old, os.path.join(os.fsencode(old.parent), name))
    said = message(root)
    assert repr(os.fsdecode(name))[1:-1] in said and "Rename" in said
    said.encode()  # it can be printed
    assert "\n" not in said


@pytest.mark.parametrize(
    "name", ["$\\frac{1}{0}$", "a\\b 100% & <i>", "Ünïcödé \u202f 車", "x" * 251]
)
def test_odd_names_work_from_the_folder_to_the_cache(name, tmp_path):
    root = make.class_folders(tmp_path / "data")
    for split in ("train", "test"):
        (root / split / make.NAMES[0]).rename(root / split / name)
    (root / "train" / name / "000000.jpg").rename(root / "train" / name / f"{name}.jpg")
    data = CarsDataModule(root, 8, cache_dir=tmp_path / "cache")
    data.setup()
    assert (
        name in data.class_names and f"train/{name}/{name}.jpg" in data.annotations["path"].tolist()
    )
    data.annotations.to_csv(tmp_path / "list.csv")
    assert json.loads(json.dumps(data.class_names)) == data.class_names


def test_archives_with_long_names_are_unpacked(tmp_path):
    make.csv_layout(tmp_path / "source")
    name = "y" * 251 + ".zip"
    make.zip_all(tmp_path / "data" / name, tmp_path / "source")
    assert len(open_dataset(tmp_path / "data" / name, tmp_path / "work").annotations) == 11
