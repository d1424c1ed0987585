"""`make data`: what of Stanford Cars is there, fetch what can be fetched, and how to get the rest.

python -m effnet.datasets.fetch [--to FOLDER] [--source auto|kaggle|huggingface|none]

The original host is gone. Copies are fetched by the hosts' own clients, with whatever credentials
those find in their usual places; this module neither reads nor prints them. What arrives is
verified: files by the MD5 sums that torchvision's source listed for the originals, images by the
published annotation list (images per class and split, boxes, names).
"""

import argparse
import importlib.util
import os
import shutil
import sys
from pathlib import Path

from effnet.datasets import stanford
from effnet.datasets.archives import find_archives, unpack
from effnet.datasets.download import download, mismatch, scrub
from effnet.datasets.folders import images
from effnet.datasets.layouts import Dataset, open_dataset
from effnet.datasets.whole import against_published, is_stanford_cars
from effnet.errors import EffnetError
from effnet.paths import DATA, relative

# torchvision.datasets.StanfordCars listed these up to 0.17, before its download was switched off.
MD5 = {
    "cars_train.tgz": "065e5b463ae28d29e77c1b4b166cfe61",
    "cars_test.tgz": "4ce7ebf6a94d07f1952d94dd34c4d501",
    "car_devkit.tgz": "c3b158d763b6e2245038c8ad08e45376",
    "cars_test_annos_withlabels.mat": "b0a2b23655a3edd16d84508592a98d10",
}
# Small files: the devkit as attached to torchvision's issue 7545, and the labels of the test split
# from one of the repositories that hold them. A copy with another MD5 is not kept.
URLS = {
    "car_devkit.tgz": "https://github.com/pytorch/vision/files/11644847/car_devkit.tgz",
    "cars_test_annos_withlabels.mat": "https://raw.githubusercontent.com/nguyentruonglau/"
    "stanford-cars/main/labeldata/cars_test_annos_withlabels.mat",
}
# Whole copies. Kaggle's is torchvision's folder, boxes included. Hugging Face's is parquet, with
# the images and labels (class names in the official order) but no boxes.
KAGGLE = "rickyyyyyyy/torchvision-stanford-cars"
HUGGINGFACE = "tanganke/stanford_cars"
HUGGINGFACE_REVISION = "9abf6cf7d6dfa7b95152a0d6e791ea9435b47a40"
CLIENTS = {"kaggle": "kagglehub", "huggingface": "huggingface_hub"}
# Packed and unpacked copies of 1.9 GB lie beside each other for a moment.
NEEDED_BYTES = 5 * 10**9
IMAGES = {"train": 8144, "test": 8041}

BY_HAND = f"""\
By hand, any one of these (all need {{target}} to end up in one of the layouts of the README):
  1. https://www.kaggle.com/datasets/{KAGGLE}
     (torchvision's layout, everything in it): download the zip into {{target}}
  2. https://www.kaggle.com/datasets/jessicali9530/stanford-cars-dataset
     (images only): download and unpack into {{target}}, run `make data` again for the labels
  3. https://huggingface.co/datasets/{HUGGINGFACE}
     (parquet, without boxes): download the train and test shards into {{target}}
  4. the original cars_train.tgz, cars_test.tgz, car_devkit.tgz and
     cars_test_annos_withlabels.mat, if you have them: put them into {{target}} as they are
Or let a client do it: pip install kagglehub (or huggingface_hub and pyarrow), then `make data`."""


def fetch(target: Path, source: str = "auto", urls: dict[str, str] | None = None) -> bool:
    """Bring `target` to a whole Stanford Cars as far as possible; returns whether it is whole.

    Says on the way what is there, what comes from where, and what is missing. What is there is
    never overwritten. `source`: "kaggle", "huggingface", "auto" (the first whose client is
    installed and succeeds) or "none" (small files only).
    """
    dataset = survey(target)
    if dataset is None and not _image_base(target) and not find_archives(target):
        for name in CLIENTS if source == "auto" else [source]:
            if name != "none" and _images_from(name, target):
                break
        dataset = survey(target)
    if dataset is None and (base := _image_base(target)):
        _small_files(base, urls or URLS)
        dataset = survey(target)
    if dataset is None:
        print("\n" + BY_HAND.format(target=relative(target)))
        return False
    return verify(dataset)


def survey(target: Path) -> Dataset | None:
    """Print what lies in `target`; returns it as a dataset where it is whole enough to open."""
    print(f"{relative(target)}:", flush=True)
    if not target.is_dir() or not any(target.iterdir()):
        print("  nothing there yet")
        return None
    for archive in find_archives(target):
        wrong = mismatch(archive, {"md5": MD5[archive.name]}) if archive.name in MD5 else None
        state = {None: "an archive", "": "the original file (MD5 agrees)"}.get(
            wrong, f"NOT the original file, or not whole ({wrong})"
        )
        print(f"  {archive.name}: {state}")
    try:
        dataset = open_dataset(target)
    except EffnetError as error:
        base = _image_base(target)
        if base is None:
            print(f"  {error}")
            return None
        for split, expected in IMAGES.items():
            folder = stanford.find_images(base, f"cars_{split}")
            count = len(images(folder)) if folder else 0
            print(f"  cars_{split}/: {count:,} of {expected:,} images")
        for name in ("cars_meta.mat", "cars_train_annos.mat", "cars_test_annos_withlabels.mat"):
            print(f"  {name}: {'there' if stanford.find(base, name) else 'missing'}")
        return None
    print(f"  {dataset.layout}: {len(dataset.annotations):,} images, in {relative(dataset.root)}")
    return dataset


def verify(dataset: Dataset) -> bool:
    """Compare with the published annotation list; says what differs."""
    if not is_stanford_cars(dataset):
        print(f"  another dataset, with {len(dataset.class_names)} classes: `make check-data` "
              "looks at it")  # fmt: skip
        return False
    gone = [path for path in dataset.annotations["path"] if not (dataset.root / path).is_file()]
    if gone:
        print(f"  {len(gone):,} images are listed and not there, the first is {gone[0]}")
    differences = against_published(dataset)
    wrong = differences[differences["level"] == "error"]
    for row in differences.groupby("kind").first().reset_index().itertuples():
        where = " ".join(filter(None, (row.split, row.class_name, row.path)))
        count = (differences["kind"] == row.kind).sum()
        print(f"  {row.kind} ({count:,} times), the first: {where} {row.detail}")
    labels = stanford.find(dataset.root, "cars_test_annos_withlabels.mat")
    if labels and mismatch(labels, {"md5": MD5[labels.name]}):
        print(f"  {labels.name}: not byte for byte the original; judged by its content above")
    if gone or len(wrong):
        print("Not the whole of Stanford Cars as published: `make check-data` lists every finding.")
        return False
    print("Whole: 16,185 images, labels and splits as published. `make check-data` decodes them.")
    return True


def _image_base(target: Path) -> Path | None:
    """The folder that holds cars_train/ or cars_test/."""
    for base in (target, target / "stanford_cars"):
        if any(stanford.find_images(base, f"cars_{split}") for split in IMAGES):
            return base
    return None


def _small_files(base: Path, urls: dict[str, str]) -> None:
    """The annotation files that are missing beside the images."""
    devkit = all(stanford.find(base, name) for name in ("cars_meta.mat", "cars_train_annos.mat"))
    wanted = [] if devkit else ["car_devkit.tgz"]
    if not stanford.find(base, "cars_test_annos_withlabels.mat"):
        wanted.append("cars_test_annos_withlabels.mat")
    for name in wanted:
        try:
            print(f"Fetching {name} ...", flush=True)
            download(urls[name], base / name, md5=MD5[name])
            if name.endswith(".tgz"):
                unpack([base / name], base / "car_devkit")
                (base / name).unlink()
        except EffnetError as error:
            print(f"  {error}")


def _images_from(name: str, target: Path) -> bool:
    """A whole copy by its host's client; False, with the reason printed, where that fails."""
    client = CLIENTS[name]
    if importlib.util.find_spec(client) is None:
        print(f"{name}: its client is not installed (pip install {client})")
        return False
    target.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target).free
    if free < NEEDED_BYTES:
        print(f"{name}: needs {NEEDED_BYTES / 1e9:.0f} GB of disk, {free / 1e9:.1f} GB are free")
        return False
    print(f"Fetching 1.9 GB from {name} with {client}; may be interrupted and resumed ...")
    try:
        _kaggle(target) if name == "kaggle" else _huggingface(target)
    except Exception as error:  # the clients raise their own kinds and their libraries'
        print(f"{name}: failed. {scrub(error)}")
        return False
    return True


def _kaggle(target: Path) -> None:
    """Into a cache of our own on the same disk (kagglehub resumes there), then moved."""
    cache = target.parent / f".{target.name}-kagglehub"
    before = os.environ.get("KAGGLEHUB_CACHE")
    os.environ["KAGGLEHUB_CACHE"] = str(cache)
    try:
        import kagglehub

        found = Path(kagglehub.dataset_download(KAGGLE))
        for entry in found.iterdir():
            if (target / entry.name).exists():
                raise EffnetError(f"{target / entry.name} exists already; move it away.")
            shutil.move(entry, target / entry.name)
    finally:
        if before is None:
            del os.environ["KAGGLEHUB_CACHE"]
        else:
            os.environ["KAGGLEHUB_CACHE"] = before
    shutil.rmtree(cache, ignore_errors=True)


def _huggingface(target: Path) -> None:
    import huggingface_hub

    huggingface_hub.snapshot_download(
        HUGGINGFACE,
        repo_type="dataset",
        revision=HUGGINGFACE_REVISION,
        local_dir=str(target),
        allow_patterns=["*train-*.parquet", "*test-*.parquet"],
    )


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code: 0 whole, 1 not (yet)."""
    parser = argparse.ArgumentParser(
        "python -m effnet.datasets.fetch", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--to", type=Path, default=DATA / "stanford_cars")
    parser.add_argument("--source", default="auto", choices=["auto", *CLIENTS, "none"])
    options = parser.parse_args(arguments)
    try:
        return 0 if fetch(options.to, options.source) else 1
    except EffnetError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. What has arrived is kept; the same command goes on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
