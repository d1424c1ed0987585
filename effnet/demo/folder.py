"""Demo data: drawn, fine-grained, car-like pictures in the folder layout of Stanford Cars.

A class is a body, that is a vector of lengths; a body type has several classes that differ by
little. `make_demo` draws the classes to train on, `make_pretext` others, on which the kit pretrains
its own demo checkpoint. Both write what torchvision's `StanfordCars` reads:

    cars_train/00001.jpg ...  cars_test/00001.jpg ...  cars_test_annos_withlabels.mat
    devkit/cars_train_annos.mat  devkit/cars_meta.mat
"""

import glob
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from filelock import FileLock
from scipy.io import savemat

from effnet.demo import bodies, car, draw
from effnet.demo.bodies import catalogue
from effnet.demo.draw import draw_image
from effnet.errors import EffnetError
from effnet.files import write_json
from effnet.paths import DATA, relative

# size -> number of classes, images per class for training and for testing, widths in pixels
DEMO_SIZES = {"demo": (14, 17, 8, (110, 200)), "smoke": (4, 8, 4, (72, 110))}
PRETEXT_SIZES = {"demo": (14, 44, 4, (110, 200)), "smoke": (4, 8, 4, (72, 110))}
# Folders that the kit fills by itself -> the size of what is drawn there.
DRAWN = {DATA / "demo": "demo", DATA / "demo_smoke": "smoke"}
OUTLIER = 2.6  # the outlier class has so many times the usual number of images


def make_demo(root: Path | str = DATA / "demo", seed: int = 0, size: str = "demo") -> Path:
    """Draw the demo's classes below `root`, unless they are there, and return `root`.

    size: "demo" (14 classes, about 270 training and 130 test images) or "smoke" (4 small classes).
    Class sizes are uneven and one class is an outlier, as in Stanford Cars (thesis, figure 13).
    The same seed gives the same bytes. A folder drawn with other values, by another version, or
    damaged, is replaced in one step. Raises EffnetError for an unknown size and for a folder with
    files that were not drawn here.
    """
    return _make(Path(root), "Demo", seed, size, DEMO_SIZES)


def make_pretext(
    root: Path | str = DATA / "demo_pretext", seed: int = 1, size: str = "demo"
) -> Path:
    """Draw the classes to pretrain on below `root`: as `make_demo`, of which it shares no class."""
    return _make(Path(root), "Pretext", seed, size, PRETEXT_SIZES)


def _make(root: Path, kind: str, seed: int, size: str, sizes: dict) -> Path:
    if size not in sizes:
        raise EffnetError(f"demo size {size!r} is unknown; it is one of {', '.join(sizes)}.")
    wanted = {"kind": kind, "seed": seed, "size": size, "version": _version()}
    if _is_complete(root, wanted):
        return root
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.parent / f".{root.name}.lock"):
        if _is_complete(root, wanted):  # another process drew it meanwhile
            return root
        _refuse_foreign(root)
        prefix = f".{root.name}.drawing-"
        for left in root.parent.glob(f"{glob.escape(prefix)}*"):  # a killed process left it
            shutil.rmtree(left)
        scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=root.parent))
        try:
            new, old = scratch / "new", scratch / "old"
            print(f"Drawing {relative(root)} ... ", end="", file=sys.stderr, flush=True)
            start = time.perf_counter()
            images = _draw_all(new, kind, seed, *sizes[size])
            print(f"{images} images in {time.perf_counter() - start:.0f} s", file=sys.stderr)
            write_json(new / "demo.json", wanted | {"files": _listing(new)})
            if root.exists():
                os.rename(root, old)
            os.rename(new, root)
        finally:
            shutil.rmtree(scratch)
    return root


def _draw_all(
    folder: Path, kind: str, seed: int, count: int, train: int, test: int, widths: tuple[int, int]
) -> int:
    """Draw all images of both splits; returns their number."""
    classes = catalogue(kind, count)
    generator = np.random.default_rng([seed, 9999])
    shares = generator.uniform(0.8, 1.2, count)
    shares[generator.integers(count)] = OUTLIER
    (folder / "devkit").mkdir(parents=True)
    names = np.array(list(classes), dtype=object)[None]
    _save_mat(folder / "devkit/cars_meta.mat", {"class_names": names})
    drawn = 0
    for split, usual, annotations in (
        ("train", train, "devkit/cars_train_annos.mat"),
        ("test", test, "cars_test_annos_withlabels.mat"),
    ):
        (folder / f"cars_{split}").mkdir()
        sizes = np.round(shares * usual).astype(int)
        order = generator.permutation(np.repeat(np.arange(count), sizes))
        seen = [0] * count
        rows = []
        for number, class_id in enumerate(order, start=1):
            key = [seed, ord(kind[0]), ord(split[1]), class_id, seen[class_id]]
            seen[class_id] += 1
            body = list(classes.values())[class_id]
            image, box = draw_image(body, np.random.default_rng(key), widths)
            name = f"{number:05d}.jpg"
            image.save(folder / f"cars_{split}" / name, quality=88)
            rows.append((*box, class_id + 1, name))
        _save_mat(folder / annotations, {"annotations": _annotations(rows)})
        drawn += len(rows)
    return drawn


def _annotations(rows: list[tuple]) -> np.ndarray:
    """Rows (x1, y1, x2, y2, class, name) as MATLAB's struct array (1, n), as in the original."""
    columns = ["bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname"]
    array = np.empty((1, len(rows)), dtype=[(column, object) for column in columns])
    for index, (*numbers, name) in enumerate(rows):
        # The original's numbers have the smallest unsigned type that holds them.
        small = [np.array([[n]], dtype=np.min_scalar_type(int(n))) for n in numbers]
        array[0, index] = (*small, name)
    return array


def _save_mat(path: Path, variables: dict[str, np.ndarray]) -> None:
    """`savemat` without the time of day, which it writes into the first 116 bytes."""
    savemat(path, variables, oned_as="row")
    with open(path, "r+b") as file:
        file.write(b"MATLAB 5.0 MAT-file, effnet demo data".ljust(116))


def _version() -> str:
    """Hash of the source that draws: another drawing makes the old folder outdated."""
    digest = hashlib.sha256()
    for source in (__file__, bodies.__file__, car.__file__, draw.__file__):
        digest.update(Path(source).read_bytes())
    return digest.hexdigest()[:16]


def _listing(root: Path) -> dict[str, int]:
    """Every file below `root` but the manifest: path -> size in bytes."""
    files = (path for path in root.rglob("*") if path.is_file() and path.name != "demo.json")
    return {path.relative_to(root).as_posix(): path.stat().st_size for path in sorted(files)}


def _is_complete(root: Path, wanted: dict) -> bool:
    try:
        manifest = json.loads((root / "demo.json").read_text(encoding="utf-8"))
        return manifest == wanted | {"files": _listing(root)}
    except (OSError, ValueError):
        return False


def _refuse_foreign(root: Path) -> None:
    """Never replace what was not drawn here: real images, for example."""
    empty = root.is_dir() and not any(root.iterdir())
    if root.exists() and not empty and not (root / "demo.json").exists():
        raise EffnetError(
            f"{relative(root)} holds files that the demo's generator did not write (no "
            "demo.json there). Name another folder, or remove this one if it can go."
        )
