"""Images through a finished run: the run's own predictions again, and as ONNX elsewhere."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from PIL import Image
from small_trials import SMALL, THIN

import effnet
from effnet.datasets.layouts import open_dataset
from effnet.demo.folder import make_demo
from effnet.errors import EffnetError
from effnet.files import Damaged, read_sealed, write_sealed
from effnet.inference import load_trained
from effnet.runs import load_runs, predictions
from effnet.train import run
from effnet.training.status import sealed
from effnet.trial import Trial

# What learns its few images by heart tells images apart; a network that does not hides mistakes.
VALUES = SMALL | THIN | {
    "recipe": "corrected", "epochs": 8, "initial_lr": 0.02, "batch_norm_momentum": 0.5,
    "lr_patience": 50, "augment": False, "dropout_rate": 0.0, "drop_connect_rate": 0.0,
}  # fmt: skip
KEEPS = ("width_coefficient", "depth_coefficient", "batch_norm_momentum", "dropout_rate")
RUNS = {
    "rgb": {},
    "gray": {"in_channels": 1, "normalization": "thesis"},
    "other": {"model_name": "torchvision:shufflenet_v2_x0_5", "epochs": 15, "initial_lr": 0.01}
    | dict.fromkeys((*KEEPS, "drop_connect_rate")),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_demo(tmp_path_factory.mktemp("data") / "smoke", size="smoke")


@pytest.fixture(scope="module")
def reports(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reports")
    for name, changes in RUNS.items():
        run(Trial.make(VALUES | changes | {"data_dir": str(data)}), folder / "runs", name)
    return folder


@pytest.fixture(scope="module")
def pictures(data):
    root = open_dataset(data).root
    return sorted(root.rglob("*.jpg"))[:12]


def row(reports, name):
    runs = load_runs(reports)
    return runs[runs["name"] == name].iloc[0]


@pytest.mark.parametrize("split", ["val", "test"])
@pytest.mark.parametrize("name", RUNS)
def test_it_is_what_the_run_itself_predicted(name, split, reports, data):
    """By path, as an opened image and as a folder: class and probability of its predictions."""
    of_run, root = row(reports, name), open_dataset(data).root
    own = predictions(of_run, split)
    found = effnet.predict(of_run, [root / path for path in own["path"]], k=2)
    best = found[found["rank"] == 1]
    assert list(best["image"]) == [str(root / path) for path in own["path"]]
    assert list(best["class_id"]) == list(own["predicted_class_id"])
    assert list(best["probability"]) == pytest.approx(list(own["probability"]), abs=1e-4)
    assert np.ptp(best["probability"]) > 0.01, "images that all give the same show nothing"

    opened = [Image.open(root / path).convert("CMYK").convert("RGB") for path in own["path"]]
    again = effnet.predict(of_run["path"], opened, k=1)
    assert list(again["image"]) == list(range(len(own)))
    whole = effnet.predict(of_run["path"], root)
    assert set(whole["image"]) >= set(best["image"])
    both = whole[whole["rank"] == 1].set_index("image")["probability"]
    assert list(both[best["image"]]) == pytest.approx(list(own["probability"]), abs=1e-4)


def test_rows_are_the_likeliest_classes_in_order(reports, pictures):
    own = row(reports, "rgb")
    mixed = [str(pictures[0]), Image.open(pictures[1]), pictures[2]]
    found = effnet.predict(own, mixed, k=50)
    assert list(found) == ["image", "rank", "class_id", "class_name", "probability"]
    assert list(found["image"].unique()) == [str(pictures[0]), 1, str(pictures[2])]
    assert list(found["rank"]) == [1, 2, 3, 4] * 3, "no more rows than classes"
    for _, of_image in found.groupby("image"):
        assert of_image["probability"].is_monotonic_decreasing
        assert of_image["probability"].sum() == pytest.approx(1, abs=1e-5)
        assert sorted(of_image["class_id"]) == [0, 1, 2, 3]
    names = read_sealed(f"{own['path']}/trial.json")["classes"]
    assert len(set(names)) == 4 and not any(name.startswith("class ") for name in names)
    assert list(found["class_name"]) == [names[i] for i in found["class_id"]]
    one = effnet.predict(own, pictures[0])
    pd.testing.assert_frame_equal(one, found.iloc[:4], check_dtype=False, atol=1e-5)


def test_a_colour_image_for_a_grayscale_run(reports, pictures):
    """It is made gray as training does it; a gray image of another mode is the same."""
    own = row(reports, "gray")
    colour = Image.open(pictures[0])
    found = effnet.predict(own, [colour, colour.convert("L"), colour.convert("L").convert("P")])
    halves = [part["probability"].to_numpy() for _, part in found.groupby("image")]
    assert halves[0] == pytest.approx(halves[1], abs=1e-6)
    assert halves[0] == pytest.approx(halves[2], abs=1e-6)


def test_the_caller_s_random_numbers_stay(reports, pictures):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    effnet.predict(row(reports, "rgb"), pictures[0])
    assert torch.equal(torch.rand(3), expected)


def test_unreadable_images_are_named(reports, pictures, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(pictures[0].read_bytes()[:300])
    (tmp_path / "fine.jpg").write_bytes(pictures[0].read_bytes())
    asked = [tmp_path, tmp_path / "missing.png"]
    with pytest.raises(
        EffnetError, match=r"(?s)2 of 3 images .*broken.jpg: .*missing.png: there i"
    ):
        effnet.predict(row(reports, "rgb"), asked)
    with pytest.warns(UserWarning, match=r"(?s)2 of 3 images .*broken.jpg: .*missing.png"):
        found = effnet.predict(row(reports, "rgb"), asked, on_bad_image="skip")
    assert list(found["image"].unique()) == [str(tmp_path / "fine.jpg")]
    with pytest.warns(UserWarning, match="1 of 1 images"):
        assert effnet.predict(row(reports, "rgb"), asked[1], on_bad_image="skip").empty


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([], "images is empty"),
        ([np.zeros((4, 4, 3))], r"images\[0\] is of type ndarray: allowed are paths and PIL"),
        (["{folder}"], r"images\[0\] is the folder .*, without any of .bmp, .*\.jpg"),
    ],
)
def test_what_is_no_image_is_refused(images, words, reports, tmp_path):
    images = [str(tmp_path) if isinstance(image, str) else image for image in images]
    with pytest.raises(EffnetError, match=words):
        effnet.predict(row(reports, "rgb"), images)


def test_a_run_that_cannot_predict_says_why(data, reports, pictures, tmp_path):
    trial = Trial.make(VALUES | {"data_dir": str(data), "epochs": 1})
    with pytest.raises(EffnetError, match="no trial.json, so it is no run's folder"):
        effnet.predict(tmp_path, pictures[0])
    without = run(trial, tmp_path, keep_weights=False)
    with pytest.raises(EffnetError, match="kept no weights .keep_weights: false.* Set it to true"):
        effnet.predict(without, pictures[0])
    status = read_sealed(without / "status.json")
    write_sealed(without / "status.json", status | {"state": "interrupted"})
    with pytest.raises(EffnetError, match="is interrupted: only a finished run"):
        effnet.predict(without, pictures[0])
    with pytest.raises(EffnetError, match="k is 0"):
        effnet.predict(row(reports, "rgb"), pictures[0], k=0)
    with pytest.raises(EffnetError, match="on_bad_image is 'go on'"):
        effnet.predict(row(reports, "rgb"), pictures[0], on_bad_image="go on")
    whole = run(trial, tmp_path / "whole")
    with open(whole / "best.ckpt", "r+b") as file:
        file.seek(2000)
        file.write(b"xxxx")
    with pytest.raises(Damaged, match="best.ckpt was changed"):
        effnet.predict(whole, pictures[0])


def test_a_run_of_boxes_warns_of_whole_photographs(data, pictures, tmp_path):
    trial = Trial.make(VALUES | {"data_dir": str(data), "epochs": 1, "crop": "box"})
    with pytest.warns(UserWarning, match="only seen cars cut out"):
        effnet.predict(run(trial, tmp_path), pictures[0])


def test_a_run_of_before_has_numbers_for_names(data, pictures, tmp_path):
    folder = run(Trial.make(VALUES | {"data_dir": str(data), "epochs": 1}), tmp_path)
    record = read_sealed(folder / "trial.json")
    del record["classes"]
    write_sealed(folder / "trial.json", record)
    status = read_sealed(folder / "status.json")
    status["outputs"] |= sealed(folder, ["trial.json"])
    write_sealed(folder / "status.json", status)
    found = effnet.predict(folder, pictures[0])
    assert list(found["class_name"]) == [f"class {i}" for i in found["class_id"]]


def test_weights_that_bring_their_own_eps(data, tmp_path):
    """torchvision's checkpoints were trained with another; the run's network has it, too."""
    checkpoint = tmp_path / "efficientnet_b0.pth"
    torch.save(torchvision.models.efficientnet_b0().state_dict(), checkpoint)
    values = {"width_coefficient": None, "depth_coefficient": None, "weights": str(checkpoint)}
    values |= {"data_dir": str(data), "epochs": 1, "padding": "symmetric"}
    folder = run(Trial.make(VALUES | values), tmp_path)
    checkpoint.unlink()
    classifier, _ = load_trained(folder)
    assert classifier.model._bn0.eps == 1e-5
    own, root = predictions(folder), open_dataset(data).root
    found = effnet.predict(folder, [root / path for path in own["path"]], k=1)
    assert list(found["probability"]) == pytest.approx(list(own["probability"]), abs=1e-4)


def inputs(pictures, side):
    """Pictures as the docstring of `export` asks for them."""
    opened = [image.convert("RGB").resize((side, side), Image.BILINEAR) for image in pictures]
    return np.stack([np.asarray(i, np.float32).transpose(2, 0, 1) / 255 for i in opened])


@pytest.mark.parametrize("name", RUNS)
def test_an_exported_network_gives_the_same_elsewhere(name, reports, pictures, tmp_path):
    import onnxruntime

    own = row(reports, name)
    file = effnet.export(own, tmp_path / "deep" / "model.onnx")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (described,) = session.get_inputs()
    assert (described.name, described.shape[1:], described.type) == (
        "images", [3, 32, 32], "tensor(float)",
    )  # fmt: skip
    opened = [Image.open(path) for path in pictures]
    if name == "gray":  # of equal channels, so that gray comes before the resize or after it
        opened = [image.convert("L").convert("RGB") for image in opened]
    expected = effnet.predict(own, opened, k=4).sort_values(["image", "class_id"])
    for count in (1, 5, len(opened)):  # the batch is free
        (logits,) = session.run(["logits"], {"images": inputs(opened[:count], 32)})
        assert logits.shape == (count, 4)
        found = torch.tensor(logits).softmax(1).flatten()
        assert found.tolist() == pytest.approx(list(expected["probability"][: 4 * count]), abs=1e-4)
    names = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
    assert names == read_sealed(f"{own['path']}/trial.json")["classes"]
    if name == "gray":  # colours have PIL's weights, up to its rounding
        colours = [Image.new("RGB", (40, 40), c) for c in ("red", "lime", "blue", "orange")]
        (logits,) = session.run(None, {"images": inputs(colours, 32)})
        expected = effnet.predict(own, colours, k=4).sort_values(["image", "class_id"])
        found = torch.tensor(logits).softmax(1).flatten().tolist()
        assert found == pytest.approx(list(expected["probability"]), abs=0.01)
        assert math.dist(found[:4], found[4:8]) > 0.02, "red is not lime"
    assert [path.name for path in file.parent.iterdir()] == ["model.onnx"]


def test_a_missing_exporter_is_named(reports, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(EffnetError, match=r"needs the packages onnx and onnxscript: .*\[onnx\]"):
        effnet.export(row(reports, "rgb"), tmp_path / "model.onnx")
