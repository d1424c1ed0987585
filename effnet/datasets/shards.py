"""Datasets without files of images: Hugging Face parquet shards and torchvision's classes.

Their images are written once to a folder with an `annotations.csv`, which `folders.read_csv` reads.
"""

import csv
import inspect
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from effnet.datasets.archives import make_folder
from effnet.datasets.folders import settle_splits, split_of
from effnet.errors import EffnetError

# One image to write: split, class id (None: by the names' order), class name, its file's bytes.
Item = tuple[str, int | None, str, bytes]
MAGIC = {b"\xff\xd8": ".jpg", b"\x89PNG": ".png", b"RIFF": ".webp", b"GIF8": ".gif", b"BM": ".bmp"}
LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target")
BATCH = 64


def find_shards(base: Path) -> list[Path]:
    """The parquet files of a folder or its subfolders whose names start with a split."""
    found = [*base.glob("*.parquet"), *base.glob("*/*.parquet")]
    return sorted(path for path in found if shard_split(path) and path.is_file())


def shard_split(path: Path) -> str | None:
    """The split of "train-00000-of-00002.parquet" or "train/0000.parquet", or None."""
    return split_of(path.name.replace("_", "-").replace(".", "-").split("-")[0]) or split_of(
        path.parent.name
    )


def export_parquet(shards: list[Path], target: Path, read: Callable[[Path], object]) -> Path:
    """Write the images of parquet shards to `target`, once, unless `read` refuses it; returns it.

    Needs pyarrow. A shard has an image column (Hugging Face's struct of `bytes` and `path`) and a
    label column, whose class names stand in the file's metadata, or which holds names itself.
    Raises EffnetError on anything else, with nothing left behind.
    """
    return _export(shards[0].parent, _parquet(shards), target, read)


def export_torchvision(name: str, root: Path, target: Path, read: Callable[[Path], object]) -> Path:
    """Write the images of `torchvision.datasets.<name>` below `root` to `target` as PNG, once.

    Nothing is downloaded. Raises EffnetError where the class or its files do not exist, or where
    `read` refuses the folder.
    """
    return _export(Path(f"torchvision:{name}"), _torchvision(name, root), target, read)


def _export(
    where: Path, items: Iterator[Item], target: Path, read: Callable[[Path], object]
) -> Path:
    """Write `items` to `target`, once; a folder that cannot be read is not put in place."""

    def write(folder: Path) -> None:
        _write(where, items, folder)
        try:
            read(folder)
        except EffnetError as error:  # of a folder that is gone when this is read
            reason = str(error).removeprefix(str(folder)).removeprefix("/annotations.csv")
            raise EffnetError(f"{where}: {reason.removeprefix(': ')}") from None

    return make_folder(target, write)


def _write(where: Path, items: Iterator[Item], folder: Path) -> None:
    """Images to `images/<split>/<number>`, rows to `annotations.csv`."""
    print(f"Writing the images of {where} to files ...", flush=True)
    rows: list[tuple[Any, ...]] = []
    counts: Counter[str] = Counter()
    for split, class_id, class_name, content in items:
        suffix = next((s for magic, s in MAGIC.items() if content.startswith(magic)), ".img")
        path = Path("images", split, f"{counts[split]:06d}{suffix}")
        if not counts[split]:
            (folder / path).parent.mkdir(parents=True)
        (folder / path).write_bytes(content)
        counts[split] += 1
        rows.append((path.as_posix(), class_name, split, class_id))
    settle_splits(where, list(counts))
    # A class without any image has no row: the ids close the gap.
    used = sorted({row[3] for row in rows if row[3] is not None})
    if used and (text := [row[1] for row in rows if row[3] is None]):
        raise EffnetError(
            f"{where}: some labels are numbers ({used[0]}) and some are text ({text[0]!r}); all "
            "shards need labels of one kind."
        )
    with open(folder / "annotations.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "split") + (("class_id",) if used else ()))
        writer.writerows((*row[:3], used.index(row[3])) if used else row[:3] for row in rows)


def _parquet(shards: list[Path]) -> Iterator[Item]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise EffnetError(
            f"{shards[0]}: reading parquet needs pyarrow; install it (pip install pyarrow)."
        ) from None
    for shard in shards:
        split = shard_split(shard)
        assert split
        try:
            file = parquet.ParquetFile(shard)
            image, label, names = _columns(shard, file.schema_arrow)
            for batch in file.iter_batches(batch_size=BATCH, columns=[image, label]):
                for row in batch.to_pylist():
                    content = row[image]["bytes"] if isinstance(row[image], dict) else row[image]
                    if not isinstance(content, bytes) or not content:
                        raise EffnetError(f"{shard}: column '{image}' lacks the bytes of an image.")
                    yield split, *_label(shard, row[label], names), content
        except EffnetError:
            raise
        except (pyarrow.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
            if getattr(error, "errno", None) is not None:  # of the disk, not of the content
                raise
            raise EffnetError(
                f"{shard}: not a whole parquet file ({str(error):.200}). Download it again."
            ) from None


def _columns(shard: Path, schema: Any) -> tuple[str, str, list[str]]:
    """Names of the image and the label column, and the class names ([] where it has none)."""
    import pyarrow

    kinds = {field.name: field.type for field in schema}
    binary = (pyarrow.types.is_binary, pyarrow.types.is_large_binary)
    images = [
        name
        for name, kind in kinds.items()
        if any(is_kind(kind) for is_kind in binary)
        or (pyarrow.types.is_struct(kind) and kind.get_field_index("bytes") >= 0)
    ]
    labels = [name for name in LABEL_COLUMNS if name in kinds]
    if len(images) != 1 or not labels:
        raise EffnetError(
            f"{shard}: needs one image column (bytes) and a label column "
            f"({', '.join(LABEL_COLUMNS)}); found {', '.join(kinds)}."
        )
    features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}")).get("info", {})
    names = features.get("features", {}).get(labels[0], {}).get("names") or []
    if len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
        raise EffnetError(f"{shard}: the class names of '{labels[0]}' are not distinct text.")
    return images[0], labels[0], names


def _label(shard: Path, value: object, names: list[str]) -> tuple[int | None, str]:
    if isinstance(value, str) and value.strip():
        return None, value
    if isinstance(value, int) and 0 <= value < (len(names) or value + 1):
        return value, names[value] if names else str(value)
    allowed = f"a class id from 0 to {len(names) - 1}" if names else "a class id or a name"
    raise EffnetError(f"{shard}: a label is {value!r}; expected {allowed}.")


def _torchvision(name: str, root: Path) -> Iterator[Item]:
    from torchvision import datasets

    kind: Any = getattr(datasets, name, None)
    parameters = inspect.signature(kind).parameters if inspect.isclass(kind) else {}
    if "root" not in parameters or not {"train", "split"} & set(parameters):
        raise EffnetError(
            f"torchvision:{name}: torchvision.datasets has no image classification dataset of "
            "that name with a train and a test split (CIFAR10, Flowers102, Food101, ...)."
        )
    by_flag = "train" in parameters
    for split in ("train", "test") if by_flag else ("train", "test", "val"):
        choice = {"train": split == "train"} if by_flag else {"split": split}
        try:
            dataset = kind(root=str(root), **choice)
        except Exception as error:  # each class has its own way to say that files are missing
            if split == "val":  # many have none
                continue
            raise EffnetError(
                f"torchvision:{name}: cannot be opened below {root}: {error} "
                f"Put its files there, as torchvision.datasets.{name} describes; to have them "
                "elsewhere write data_dir as torchvision:NAME@FOLDER."
            ) from None
        names = [n if isinstance(n, str) else ", ".join(n) for n in getattr(dataset, "classes", [])]
        names = [f"{n} ({i})" if names.count(n) > 1 else n for i, n in enumerate(names)]
        for image, label in dataset:
            if not hasattr(image, "save") or not isinstance(label, int):
                raise EffnetError(f"torchvision:{name}: its items are not (image, class id).")
            buffer = io.BytesIO()
            image.save(buffer, "PNG")
            yield split, label, names[label] if names else str(label), buffer.getvalue()
