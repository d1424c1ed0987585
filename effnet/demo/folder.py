"""Demo data: drawn, fine-grained, car-like pictures in the folder layout of Stanford Cars.

A class is a body, that is a vector of lengths; a body type has several classes that differ by
little. `make_demo` draws the classes to train on, `make_pretext` others, on which the kit pretrains
its own demo checkpoint. Both write what torchvision's `StanfordCars` reads:

    cars_train/00001.jpg ...  cars_test/00001.jpg ...  cars_test_annos_withlabels.mat
    devkit/cars_train_annos.mat  devkit/cars_meta.mat
"""

import glob
import hashlib
import os
import re
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.io import savemat

from effnet.datasets import stanford
from effnet.demo import bodies, car, draw
from effnet.demo.bodies import catalogue
from effnet.demo.draw import draw_image
from effnet.errors import EffnetError
from effnet.files import Damaged, cannot_write, digest, locked, read_sealed, write_sealed
from effnet.paths import DATA, relative

# size -> number of classes, images per class for training and for testing, widths in pixels
DEMO_SIZES = {"demo": (14, 17, 8, (110, 200)), "smoke": (4, 8, 4, (72, 110))}
PRETEXT_SIZES = {"demo": (14, 36, 4, (110, 200)), "smoke": (4, 8, 4, (72, 110))}
# Folders that the kit fills by itself -> the size of what is drawn there.
DRAWN = {DATA / "demo": "demo", DATA / "demo_smoke": "smoke"}
MANIFEST = "demo.json"  # what was drawn, and the SHA-256 of every file
META, TRAIN_LIST = "devkit/cars_meta.mat", "devkit/cars_train_annos.mat"
TEST_LIST = "cars_test_annos_withlabels.mat"
# No list may make the kit replace anything else.
DRAWN_NAME = re.compile(rf"cars_(train|test)/\d{{5}}\.jpg|{META}|{TRAIN_LIST}|{TEST_LIST}")
OUTLIER = 2.6  # the outlier class has so many times the usual number of images


def make_demo(root: Path | str = DATA / "demo", seed: int = 0, size: str = "demo") -> Path:
    """Draw the demo's classes below `root`, unless they are there, and return `root`.

    size: "demo" (14 classes, about 270 training and 130 test images) or "smoke" (4 small classes).
    Class sizes are uneven and one class is an outlier, as in Stanford Cars (thesis, figure 13).
    The same seed gives the same bytes. In a folder drawn with other values, by another version, or
    damaged, the files that the kit drew are replaced; any other file stays, and is no part of the
    data. Raises EffnetError for an unknown size, for a folder that was not drawn here, and for a
    file of another's where the kit draws.
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
    if not _is_complete(root, wanted):
        try:
            root.parent.mkdir(parents=True, exist_ok=True)
            with locked(root.parent / f".{root.name}.lock", f"{relative(root)} is drawn"):
                if not _is_complete(root, wanted):  # else another process drew it meanwhile
                    _refuse_foreign(root)
                    _draw(root, wanted, sizes[size])
        except OSError as error:
            raise cannot_write(root, error) from error
    _refuse_other_lists(root)
    return root


def _draw(root: Path, wanted: dict, size: tuple) -> None:
    """Draw beside `root`, then put every file in its place."""
    place = root.resolve()
    prefix = f".{place.name}.drawing-"
    for left in place.parent.glob(f"{glob.escape(prefix)}*"):  # a killed process left it
        shutil.rmtree(left)
    scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=place.parent))
    try:
        new = scratch / "new"
        start = time.perf_counter()
        images = _draw_all(new, wanted["kind"], wanted["seed"], *size)
        seconds = time.perf_counter() - start
        print(f"drew {images} images in {relative(root)}, {seconds:.0f} s", flush=True)
        drawn = {path.relative_to(new).as_posix(): digest(path) for path in _files(new)}
        write_sealed(new / MANIFEST, wanted | {"files": drawn})
        if place.exists():
            _replace(place, new, drawn)
        else:
            os.rename(new, place)
    finally:
        shutil.rmtree(scratch)


def _replace(root: Path, new: Path, drawn: dict[str, str]) -> None:
    """Put the drawn files in the place of those that the kit drew there before; others stay."""
    before = _listed(root)
    for name in drawn.keys() - before:
        if os.path.lexists(root / name) and _hash(root / name) != drawn[name]:
            raise EffnetError(
                f"{relative(root / name)} was not drawn by the kit, as far as {MANIFEST} there can "
                "tell, and stands where it would draw. Move it away, or remove the folder if it "
                "can go."
            )
    # Whoever goes on after a kill knows by this whose the files are.
    write_sealed(root / MANIFEST, {"files": dict.fromkeys(sorted(before | drawn.keys()), "")})
    for name in drawn:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(new / name, root / name)
    for name in before - drawn.keys():
        (root / name).unlink(missing_ok=True)
    os.replace(new / MANIFEST, root / MANIFEST)


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
    _save_mat(folder / META, {"class_names": names})
    drawn = 0
    for split, usual, annotations in (
        ("train", train, TRAIN_LIST),
        ("test", test, TEST_LIST),
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


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _hash(file: Path) -> str:
    """SHA-256 of a file; "" where there is none."""
    try:
        return digest(file) if file.is_file() else ""
    except OSError:
        return ""


def _is_complete(root: Path, wanted: dict) -> bool:
    """Whether every file of the wanted drawing is there, byte for byte; others do not count."""
    try:
        manifest = read_sealed(root / MANIFEST)
    except Damaged:
        return False
    files = manifest.pop("files", None)
    if manifest != wanted or not isinstance(files, dict):
        return False
    return all(_hash(root / name) == value for name, value in files.items())


def _listed(root: Path) -> set[str]:
    """The files that the kit drew below `root`, by its own list; none where that is damaged."""
    try:
        files = read_sealed(root / MANIFEST).get("files", {})
    except Damaged:
        return set()
    return (
        {name for name in files if DRAWN_NAME.fullmatch(name)} if isinstance(files, dict) else set()
    )


def _refuse_foreign(root: Path) -> None:
    """Never draw among what was not drawn here: real images, for example."""
    empty = root.is_dir() and not any(root.iterdir())
    if os.path.lexists(root) and not empty and not (root / MANIFEST).exists():
        raise EffnetError(
            f"{relative(root)} holds files that the demo's generator did not write (no "
            f"{MANIFEST} there). Name another folder, or remove this one if it can go."
        )


def _refuse_other_lists(root: Path) -> None:
    """Files of the user's stay; but those that would be read in place of the drawn ones stop."""
    for drawn in (META, TRAIN_LIST, TEST_LIST):
        found = stanford.find(root, Path(drawn).name)
        if found and found != root / drawn:
            raise _shadows(found, root / drawn)
    for split in ("cars_train", "cars_test"):
        found = stanford.find_images(root, split)
        if found and found != root / split:
            raise _shadows(found, root / split)


def _shadows(found: Path, drawn: Path) -> EffnetError:
    return EffnetError(
        f"{relative(found)} was not drawn by the kit, and would be read in place of "
        f"{relative(drawn)}. Move it away."
    )
