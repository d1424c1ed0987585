"""`make check-data` on datasets with one defect each, and with none."""

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import layout_makers as make
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from places import as_nobody, open_folder

from effnet import thesis
from effnet.datasets import check as check_module
from effnet.datasets import facts, stanford
from effnet.datasets.check import check, main, summary
from effnet.paths import ROOT


def photo(seed: int, size=(64, 48)) -> Image.Image:
    """A picture with large shapes of its own, as a photograph has them."""
    coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def encode(image: Image.Image, kind="JPEG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture
def data(tmp_path):
    """Two classes, 10 + 5 images each, nothing wrong with them, and boxes."""
    rows = [["path", "label", "split", "x1", "y1", "x2", "y2"]]
    for i in range(30):
        split = "test" if i % 3 == 2 else "train"
        make.write(tmp_path / f"pictures/{i}.jpg", encode(photo(i)))
        rows.append([f"pictures/{i}.jpg", f"class {i // 15}", split, 1, 1, 64, 48])
    make.write_csv(tmp_path / "list.csv", rows)
    return tmp_path


def edit(data: Path, row: int, **values) -> None:
    table = pd.read_csv(data / "list.csv")
    for name, value in values.items():
        table.loc[row, name] = value
    table.to_csv(data / "list.csv", index=False)


def found(data: Path) -> list[tuple[str, str, str]]:
    findings = check(data, progress=False)[1]
    return [(row.level, row.kind, row.path) for row in findings.itertuples()]


def test_a_sound_dataset_has_no_findings_and_exit_code_0(data, capsys, tmp_path):
    assert found(data) == []
    assert main([str(data), "--csv", str(tmp_path / "out.csv")]) == 0
    assert "Nothing to report." in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "out.csv").columns.tolist() == check_module.COLUMNS


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (None, "missing file"),
        (b"", "empty file"),
        (b"<html>not found</html>", "unreadable file"),
        (encode(photo(7), quality=95)[:-300], "truncated file"),
        (encode(photo(7), "PNG")[:900], "truncated file"),
    ],
)
def test_unreadable_files_are_errors(content, kind, data, capsys):
    (data / "pictures/7.jpg").unlink()
    if content is not None:
        make.write(data / "pictures/7.jpg", content)
    assert found(data) == [("error", kind, "pictures/7.jpg")]
    assert main([str(data), "--csv", str(data / "out.csv")]) == 1
    assert kind in capsys.readouterr().out
    assert pd.read_csv(data / "out.csv")["path"].tolist() == ["pictures/7.jpg"]


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "RGBA", "I;16", "1", "LA"])
def test_odd_modes_are_notes(mode, data):
    gray = photo(7).convert("L")
    image = (
        Image.fromarray(np.asarray(gray).astype(np.uint16) * 257)
        if mode == "I;16"
        else photo(7).convert(mode)
    )
    kind = "TIFF" if mode == "CMYK" else "PNG"
    make.write(data / "pictures/7.jpg", encode(image, kind))
    assert found(data) == [("note", f"mode {mode}", "pictures/7.jpg")]


def test_exif_rotation_and_unusual_sizes(data):
    exif = Image.Exif()
    exif[0x0112] = 6
    make.write(data / "pictures/7.jpg", encode(photo(7), exif=exif))
    make.write(data / "pictures/9.jpg", encode(photo(9, (64, 1))))
    edit(data, 9, y2=1)
    assert found(data) == [
        ("warning", "EXIF-rotated", "pictures/7.jpg"),
        ("note", "unusual size", "pictures/9.jpg"),
    ]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ({"x1": 1, "x2": 64}, []),
        ({"x2": 65}, ["warning"]),
        ({"y1": 0}, ["warning"]),
        ({"x1": 30, "x2": 29}, ["error"]),
        ({"x1": 65, "x2": 70}, ["error"]),
        ({"y1": -9, "y2": 0}, ["error"]),
    ],
)
def test_boxes(box, expected, data):
    edit(data, 4, **box)
    assert [level for level, *_ in found(data)] == expected


def test_the_same_file_in_both_splits_and_classes(data):
    shutil.copy(data / "pictures/0.jpg", data / "pictures/2.jpg")  # train, test
    shutil.copy(data / "pictures/1.jpg", data / "pictures/16.jpg")  # class 0, class 1
    shutil.copy(data / "pictures/3.jpg", data / "pictures/4.jpg")  # neither
    assert found(data) == [
        ("error", "in both splits", "pictures/0.jpg"),
        ("error", "in two classes", "pictures/1.jpg"),
        ("note", "duplicate", "pictures/3.jpg"),
    ]


def test_a_few_leaks_are_warnings(data, monkeypatch):
    shutil.copy(data / "pictures/0.jpg", data / "pictures/2.jpg")
    monkeypatch.setattr(check_module, "TOLERATED_SHARE", 0.1)  # 1 of 10 test images
    assert found(data) == [("warning", "in both splits", "pictures/0.jpg")]


def test_the_same_picture_saved_otherwise_is_found(data):
    image = photo(0, (200, 150))
    make.write(data / "pictures/2.jpg", encode(image.crop((2, 2, 196, 148)), quality=40))
    assert found(data) == [("error", "in both splits", "pictures/0.jpg")]
    text = check(data, progress=False)[1]["detail"][0]
    assert text.startswith("same picture, correlation 0.9")


def test_near_duplicates_against_a_loop_over_all_pairs():
    thumbs = np.random.default_rng(0).integers(0, 255, (300, 32, 32), dtype=np.uint8)
    smooth = np.stack([np.asarray(photo(i, (32, 32)).convert("L")) for i in range(200)])
    thumbs[:200] = smooth
    rng = np.random.default_rng(1)
    for i in range(0, 80, 2):  # twins with more and more noise
        noise = rng.normal(0, i / 3, (32, 32))
        thumbs[i + 1] = np.clip(thumbs[i] + noise, 0, 255).astype(np.uint8)
    thumbs[299] = 128  # no structure at all
    bits = facts.perceptual_hashes(thumbs) > 0
    usable = np.arange(300) % 7 != 3
    expected = set()
    for i in range(300):
        for j in range(i + 1, 300):
            close = (bits[i] != bits[j]).sum() <= facts.HASH_BITS
            if usable[i] and usable[j] and close and thumbs[j].std() > 1:
                if np.corrcoef(thumbs[i].ravel(), thumbs[j].ravel())[0, 1] >= 0.94:
                    expected.add((i, j))
    assert len(expected) > 5
    alone = [  # pairs that the hash alone would take for twins
        (i, i + 1)
        for i in range(0, 80, 2)
        if (bits[i] != bits[i + 1]).sum() <= facts.HASH_BITS and usable[[i, i + 1]].all()
    ]
    assert set(alone) - expected
    pairs = facts.near_duplicates(thumbs, usable)
    assert {(i, j) for i, j, _ in pairs} == expected
    assert facts.near_duplicates(thumbs, np.zeros(300, bool)) == []


def test_classes_without_images_and_unlisted_files(tmp_path):
    make.torchvision_layout(tmp_path)
    make.write(tmp_path / "cars_train" / "99999.jpg", encode(photo(1)))
    rows = [(*make.box(i), 1, f"{n:05d}.jpg") for n, i in enumerate(make.ordered("train"), 1)]
    fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"]
    make.save_mat(tmp_path / "devkit" / "cars_train_annos.mat", rows, fields)
    kinds = found(tmp_path)
    assert [k for _, k, _ in kinds].count("class without images") == 4
    assert ("note", "image without label", "cars_train/99999.jpg") in kinds


def cars(tmp_path: Path, change=None) -> Path:
    """The list of all 16,185 images of Stanford Cars in the thesis's layout, with one image."""
    table = thesis.annotations()
    table = table if change is None else change(table)
    make.write(tmp_path / table["path"][0], encode(photo(0)))
    (tmp_path / "devkit").mkdir()
    names = {"class_names": make.cell(stanford.official_names())}
    make.scipy.io.savemat(tmp_path / "devkit" / "cars_meta.mat", names)
    columns = {"path": "relative_im_path", "class_id": "class"}
    columns |= {corner: f"bbox_{corner}" for corner in ("x1", "y1", "x2", "y2")}
    table["test"] = (table["split"] == "test").astype(int)
    table.rename(columns=columns).to_csv(tmp_path / "cars_annos.csv", index=False)
    return tmp_path


def test_stanford_cars_against_the_published_list(tmp_path, monkeypatch):
    def look(root, paths, workers, progress):  # 16,185 decodes of one picture tell nothing
        facts = {"path": paths, "width": 9999, "height": 9999, "mode": "RGB", "rotated": False}
        digits = [f"{i:x}" for i in range(len(paths))]
        return pd.DataFrame({**facts, "error": "", "sha256": digits}), np.zeros(
            (len(paths), 32, 32), np.uint8
        )

    monkeypatch.setattr(check_module, "look", look)
    dataset, findings = check(cars(tmp_path / "whole"), progress=False)
    assert len(findings) == 0
    assert "8,144" in summary(dataset, findings) and "8,041" in summary(dataset, findings)

    def damaged(table):
        table.loc[100, "class_id"] = 5
        table.loc[7, "split"] = "train" if table.loc[7, "split"] == "test" else "test"
        return table.drop(index=16000)

    findings = check(cars(tmp_path / "damaged", damaged), progress=False)[1]
    kinds = findings.groupby("kind")["path"].agg(list).to_dict()
    assert kinds["lost image"] == ["car_ims/016001.jpg"]
    assert sorted(kinds["other label or split"]) == ["car_ims/000008.jpg", "car_ims/000101.jpg"]
    assert len(kinds["other number of images"]) == 5
    assert set(findings["level"]) == {"error"}


def test_the_command_line_of_the_readme(data, tmp_path):
    command = [
        sys.executable,
        "-m",
        "effnet.datasets.check",
        str(data),
        "--csv",
        str(tmp_path / "o.csv"),
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "Fit to train on." in done.stdout
    assert "Images" in done.stderr  # progress
    assert main([str(tmp_path / "nothing")]) == 2


def test_on_another_users_tree_the_findings_are_printed_though_not_saved():
    with open_folder() as place:
        rows = [["path", "label", "split"]]
        for i in range(12):
            make.write(place / f"data/{i}.jpg", encode(photo(i)))
            rows.append([f"{i}.jpg", f"class {i % 2}", "test" if i % 3 == 2 else "train"])
        make.write_csv(place / "data" / "list.csv", rows)
        done = as_nobody(main, [str(place / "data")])
        assert done.returncode == 0 and "Fit to train on." in done.stdout, done.stderr
        for i in (3, 4):
            make.write(place / f"data/{i}.jpg", b"")
        for arguments in ((), ("--csv", str(place / "data" / "out.csv"))):
            done = as_nobody(main, [str(place / "data"), *arguments])
            assert done.returncode == 1 and "Traceback" not in done.stderr
            assert "error,empty file,train,class 1,3.jpg" in done.stdout
            assert "error,empty file,train,class 0,4.jpg" in done.stdout
            assert "Not saved" in done.stdout and "belongs to another user" in done.stdout


def test_the_real_sample(tmp_path, capsys):
    root = os.environ.get("STANFORD_CARS")
    if not root:
        pytest.skip("STANFORD_CARS names no folder of real images")
    dataset, findings = check(root, progress=False)
    assert check_module.is_stanford_cars(dataset)
    assert not findings["kind"].str.endswith("file").any()  # every image decodes
    assert not findings["kind"].str.startswith("box").any()
    assert {"other number of images", "in two classes"} <= set(findings["kind"])
