"""The same eleven small images in every layout that the kit reads."""

import csv
import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from effnet.datasets.layouts import open_dataset
from effnet.errors import EffnetError

# Official names in official order; one has the slash that folders cannot hold.
NAMES = [
    "AM General Hummer SUV 2000",
    "Dodge Caliber Wagon 2012",
    "Ram C/V Cargo Van Minivan 2012",
    "smart fortwo Convertible 2012",
]
# Class, split per image, in the numbering of car_ims/.
IMAGES = [(i // 3, "test" if i % 3 == 2 else "train") for i in range(11)]


def picture(i: int) -> bytes:
    """A JPEG of its own for image `i`, 40 x 30 pixels."""
    noise = np.random.default_rng(i).integers(0, 255, (3, 4, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).resize((40, 30)).save(buffer, "JPEG")
    return buffer.getvalue()


def box(i: int) -> tuple[int, int, int, int]:
    return 1 + i, 2, 30 + i % 7, 25


def ordered(split: str) -> list[int]:
    """Image numbers of a split; not sorted, as in cars_train/."""
    found = [i for i, (_, s) in enumerate(IMAGES) if s == split]
    return found[1:] + found[:1]


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def save_mat(path: Path, rows: list[tuple], fields: list[str], compress=True, **more) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    records = np.empty((1, len(rows)), dtype=[(name, "O") for name in fields])
    for i, row in enumerate(rows):
        records[0, i] = tuple(np.uint16(v) if isinstance(v, int) else v for v in row)
    scipy.io.savemat(path, {"annotations": records, **more}, do_compression=compress)


def cell(names: list[str]) -> np.ndarray:
    return np.array([names], dtype=object)


def torchvision_layout(root: Path, nested: bool = False, devkit: str = "devkit") -> Path:
    """cars_train/, cars_test/, devkit/ and cars_test_annos_withlabels.mat."""
    for split, mat in (
        ("train", f"{devkit}/cars_train_annos.mat"),
        ("test", "cars_test_annos_withlabels.mat"),
    ):
        folder = root / f"cars_{split}" / (f"cars_{split}" if nested else "")
        rows = []
        for number, i in enumerate(ordered(split), start=1):
            write(folder / f"{number:05d}.jpg", picture(i))
            rows.append((*box(i), IMAGES[i][0] + 1, f"{number:05d}.jpg"))
        fields = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"]
        save_mat(root / mat, rows, fields)
    scipy.io.savemat(root / devkit / "cars_meta.mat", {"class_names": cell(NAMES)})
    return root


def thesis_layout(root: Path, annotations: str = "mat") -> Path:
    """car_ims/ with one list: "mat" with names in it, or "csv" with devkit/cars_meta.mat."""
    rows = []
    for i, (class_id, split) in enumerate(IMAGES):
        path = f"car_ims/{i + 1:06d}.jpg"
        write(root / path, picture(i))
        rows.append([path, *box(i), class_id + 1, int(split == "test")])
    fields = ["relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test"]
    if annotations == "mat":
        save_mat(root / "cars_annos.mat", rows, fields, class_names=cell(NAMES))
    else:
        (root / "devkit").mkdir()
        scipy.io.savemat(root / "devkit" / "cars_meta.mat", {"class_names": cell(NAMES)})
        rows = [[*row[:5], row[5] - 1, row[6]] for row in rows]
        write_csv(root / "cars_annos.csv", [fields, *rows])
    return root


def class_folders(root: Path, slash: str = "-", split: bool = True, test: str = "test") -> Path:
    for i, (class_id, name) in enumerate(IMAGES):
        folder = root / ({"test": test}.get(name, name) if split else "")
        write(folder / NAMES[class_id].replace("/", slash) / f"{i:06d}.jpg", picture(i))
    return root


def csv_layout(root: Path) -> Path:
    rows = [["path", "label", "split", "x1", "y1", "x2", "y2"]]
    for i, (class_id, split) in enumerate(IMAGES):
        write(root / f"pictures/{i}.jpg", picture(i))
        rows.append([f"pictures/{i}.jpg", NAMES[class_id], split, *box(i)])
    write_csv(root / "list.csv", rows)
    return root


def parquet_layout(root: Path, folder: str = "data") -> Path:
    """Shards as `datasets.Dataset.push_to_hub` writes them."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = {"label": {"names": NAMES, "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    (root / folder).mkdir(parents=True)
    for split in ("train", "test"):
        rows = ordered(split)
        halves = [rows[:3], rows[3:]] if split == "train" else [rows]
        for number, half in enumerate(halves):
            table = pa.table(
                {
                    "image": [{"bytes": picture(i), "path": f"{i}.jpg"} for i in half],
                    "label": pa.array([IMAGES[i][0] for i in half], pa.int64()),
                }
            ).replace_schema_metadata(metadata)
            name = f"{split}-{number:05d}-of-{len(halves):05d}.parquet"
            pq.write_table(table, root / folder / name)
    return root


def tar(path: Path, root: Path, *names: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name in names:
            archive.add(root / name, arcname=name)


def zip_all(path: Path, root: Path, prefix: str = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(root.rglob("*")):
            if file.is_file():
                archive.write(file, prefix + file.relative_to(root).as_posix())


def original_archives(root: Path, source: Path) -> Path:
    """cars_train.tgz, cars_test.tgz, car_devkit.tgz and the loose labels of the test split."""
    torchvision_layout(source)
    tar(root / "cars_train.tgz", source, "cars_train")
    tar(root / "cars_test.tgz", source, "cars_test")
    tar(root / "car_devkit.tgz", source, "devkit")
    write(
        root / "cars_test_annos_withlabels.mat",
        (source / "cars_test_annos_withlabels.mat").read_bytes(),
    )
    return root


def write_csv(path: Path, rows: list[list]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def message(*args, **kwargs) -> str:
    """What `open_dataset` says when it refuses."""
    with pytest.raises(EffnetError) as caught:
        open_dataset(*args, **kwargs)
    return str(caught.value)
