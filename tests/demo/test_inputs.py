"""What a trial needs and the kit can make is made before training, which knows nothing of it."""

import inspect

import pytest
import torch

import effnet
from effnet import Trial, train
from effnet.demo import folder, inputs, pretrain
from effnet.errors import EffnetError
from effnet.training.status import read_status

SMALL = {"recipe": "thesis", "image_size": 32, "batch_size": 10, "epochs": 1}
SMALL |= {"width_coefficient": 0.3, "depth_coefficient": 0.35}


def test_one_line_draws_the_images_and_trains(tmp_path, monkeypatch):
    monkeypatch.setitem(folder.DRAWN, tmp_path / "drawn", "smoke")
    trial = Trial(data_dir=str(tmp_path / "drawn"), **SMALL)
    with pytest.raises(EffnetError, match="drawn"):
        train.run(trial, tmp_path / "runs")
    run = effnet.run(trial, tmp_path / "runs")
    assert read_status(run)["state"] == "finished"
    assert train.run(trial, tmp_path / "runs") == run  # now the images are there


def test_other_folders_are_left_alone(tmp_path):
    with pytest.raises(EffnetError, match="nothing"):
        effnet.run(Trial(data_dir=str(tmp_path / "nothing"), **SMALL), tmp_path / "runs")
    assert not (tmp_path / "nothing").exists()


def test_the_demos_checkpoint_is_handed_in(tmp_path, monkeypatch):
    data_dir = folder.make_demo(tmp_path / "smoke", size="smoke")
    trial = Trial(data_dir=str(data_dir), weights="demo", **SMALL)
    with pytest.raises(EffnetError, match=r"effnet\.run\(trial\)"):
        train.run(trial, tmp_path / "runs")
    given = {}
    monkeypatch.setattr(inputs, "demo_checkpoint", lambda trial, wait: tmp_path / "demo.pth")
    monkeypatch.setattr(train, "run", lambda trial, runs, **options: given.update(options))
    effnet.run(trial, tmp_path / "runs")
    assert given["checkpoint"] == tmp_path / "demo.pth"
    assert given["data"].data_dir == data_dir


def test_a_damaged_checkpoint_of_the_demo_is_made_again(tmp_path, monkeypatch):
    pretext = folder.make_pretext(tmp_path / "pretext", size="smoke")
    made = tmp_path / "run-of-pretraining"

    def trained(trial, runs, name, data):
        data.setup()
        if not made.exists():
            made.mkdir()
            model = train.make_model(trial, data.num_classes, checkpoint=None)
            torch.save({"state_dict": model.state_dict()}, made / "best.ckpt")
        return made

    monkeypatch.setattr(pretrain, "make_pretext", lambda *_, **__: pretext)
    monkeypatch.setattr(pretrain, "DATA", tmp_path / "data")
    monkeypatch.setattr(pretrain, "run", trained)
    trial = Trial(data_dir=str(tmp_path), weights="demo", **SMALL)
    path = pretrain.demo_checkpoint(trial)
    content = path.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 4
    for damaged in (flipped, content[:-500], b""):
        path.write_bytes(damaged)
        assert pretrain.demo_checkpoint(trial) == path and path.read_bytes() == content


@pytest.mark.parametrize("size", ["demo", "smoke"])
def test_the_checkpoint_is_trained_on_as_many_other_cars_as_the_demo_has(
    size, tmp_path, monkeypatch
):
    monkeypatch.setattr(pretrain, "make_pretext", lambda root, size: tmp_path / root.name / size)
    (data_dir,) = (path for path, drawn in folder.DRAWN.items() if drawn == size)
    trial = pretrain.pretext_trial(Trial(data_dir=str(data_dir), weights="demo", **SMALL))
    name, epochs = {"demo": ("demo_pretext", 12), "smoke": ("demo_pretext_smoke", 2)}[size]
    assert trial.path() == tmp_path / name / size and trial.epochs == epochs
    assert trial.weights is None and trial.image_size == SMALL["image_size"]
    other = Trial(data_dir=str(data_dir), weights="demo", model_name="torchvision:resnet18")
    assert (trial.padding, pretrain.pretext_trial(other).padding) == ("same", None)


def test_it_is_called_as_training_is():
    assert inspect.signature(effnet.run) == inspect.signature(train.run)
    assert effnet.run.__doc__ == train.run.__doc__
