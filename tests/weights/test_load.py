"""Checkpoints: three families of names, strictness and freezing."""

import pickle
import warnings
from pathlib import PurePosixPath

import pytest
import torch
from reference_models import calibrated, lukemelas, timm_tf, torchvision_model, trained_twin, twin

from effnet.augment import NORMALIZATIONS
from effnet.count import count_trainable_parameters
from effnet.errors import EffnetError
from effnet.model import build_model
from effnet.train import make_model
from effnet.trial import Trial
from effnet.weights.formats import read_tensors
from effnet.weights.load import freeze_pretrained, load_weights, save_weights
from effnet.weights.published import normalization_for

HEAD = ("_fc.weight", "_fc.bias")


@pytest.fixture(scope="module")
def images():
    return torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def small():
    return trained_twin()


@pytest.fixture
def small_file(small, tmp_path):
    save_weights(small, tmp_path / "small.pth")
    return tmp_path / "small.pth"


@pytest.mark.parametrize("name", ["b0", "b2"])
@pytest.mark.parametrize(
    ("package", "build", "options"),
    [
        ("efficientnet_pytorch", lukemelas, {"padding": "same"}),
        ("timm", timm_tf, {"padding": "same"}),
        ("torchvision", torchvision_model, {"padding": "symmetric", "batch_norm_eps": 1e-5}),
    ],
)
def test_files_of_each_family_give_their_packages_logits(
    name, package, build, options, images, tmp_path
):
    pytest.importorskip(package)
    reference = calibrated(build(name), images)
    torch.save(reference.state_dict(), tmp_path / "file.pth")
    model = build_model(name, num_classes=10, **options).eval()
    report = load_weights(model, tmp_path / "file.pth", classifier="load")
    assert report.family == package
    assert set(report.loaded) == set(model.state_dict())
    assert report.left_out == report.fresh == ()
    with torch.no_grad():
        assert (model(images) - reference(images)).abs().max() <= 1e-5


def test_safetensors_of_timm(images, tmp_path):
    pytest.importorskip("timm")
    safetensors = pytest.importorskip("safetensors.torch")
    reference = calibrated(timm_tf("b0"), images)
    safetensors.save_file(reference.state_dict(), tmp_path / "model.safetensors")
    model = build_model("b0", num_classes=10).eval()
    load_weights(model, tmp_path / "model.safetensors", classifier="load")
    with torch.no_grad():
        assert (model(images) - reference(images)).abs().max() <= 1e-5
    (tmp_path / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(EffnetError, match="not a readable .safetensors"):
        load_weights(model, tmp_path / "model.safetensors")


def test_classifier_is_left_out_and_named(small, small_file):
    model = twin(num_classes=9)
    own_head = model._fc.weight.clone()
    report = load_weights(model, small_file)
    assert report.left_out == HEAD and report.fresh == HEAD
    assert set(report.loaded) == set(small.state_dict()) - set(HEAD)
    assert torch.equal(model._fc.weight, own_head)
    assert torch.equal(model._conv_head.weight, small._conv_head.weight)
    assert torch.equal(model._bn1.running_var, small._bn1.running_var)
    assert "left out _fc.weight, _fc.bias" in str(report)
    with pytest.raises(EffnetError, match=r"_fc\.weight has shape \(5, .*\(9, .*classifier out"):
        load_weights(model, small_file, classifier="load")


def test_lightning_checkpoints(small, tmp_path):
    """Tensors under a prefix, beside others that are not the network's."""
    state = {f"model.{name}": tensor for name, tensor in small.state_dict().items()}
    state["augment.mean"] = torch.zeros(3)
    torch.save({"state_dict": state, "epoch": 3, "val_loss": 1.5}, tmp_path / "best.ckpt")
    model = twin(num_classes=5)
    report = load_weights(model, tmp_path / "best.ckpt", classifier="load")
    assert report.left_out == ("augment.mean",)
    assert all(torch.equal(model.state_dict()[n], t) for n, t in small.state_dict().items())


def test_files_without_batch_counters(small, tmp_path):
    """torch 0.4.0 and older wrote none."""
    state = {n: t for n, t in small.state_dict().items() if "num_batches_tracked" not in n}
    torch.save(state, tmp_path / "old.pth")
    report = load_weights(twin(num_classes=5), tmp_path / "old.pth", classifier="load")
    assert report.fresh and all("num_batches_tracked" in name for name in report.fresh)


def broken(small, change):
    state = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("_blocks.2._bn1.weight"), ["_blocks.2._bn1.weight is missing"]),
        (lambda s: s.pop("_bn1.running_mean"), ["_bn1.running_mean is missing"]),
        (lambda s: s.update(extra=torch.ones(1)), ["extra has no place"]),
        (
            lambda s: s.update({"_blocks.1._se_reduce.bias": torch.ones(77)}),
            ["_blocks.1._se_reduce.bias has shape (77,)", "(2,)"],
        ),
        (lambda s: s.update({"_conv_stem.weight": torch.ones(())}), ["_conv_stem.weight", "()"]),
    ],
)
def test_what_does_not_fit_is_named_and_the_model_stays(small, tmp_path, change, words):
    torch.save(broken(small, change), tmp_path / "file.pth")
    model = twin(num_classes=5)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(EffnetError) as error:
        load_weights(model, tmp_path / "file.pth")
    assert all(word in str(error.value) for word in [str(tmp_path / "file.pth"), *words])
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


@pytest.mark.parametrize("build", [timm_tf, torchvision_model])
def test_unknown_tensors_of_other_families_are_named(build, tmp_path):
    pytest.importorskip("timm")
    state = build("b0").state_dict()
    stray = {timm_tf: "blocks.3.1.attention.weight", torchvision_model: "features.3.0.gate"}[build]
    torch.save(state | {stray: torch.ones(1)}, tmp_path / "file.pth")
    with pytest.raises(EffnetError, match=f"{stray} has no place"):
        load_weights(build_model("b0", num_classes=10), tmp_path / "file.pth")


def test_another_architectures_file(tmp_path):
    torch.save(build_model("torchvision:resnet18").state_dict(), tmp_path / "resnet.pth")
    with pytest.raises(EffnetError, match=r"resnet\.pth: these are not an EfficientNet's.*conv1"):
        load_weights(build_model("b0"), tmp_path / "resnet.pth")


class Payload:
    """Unpickling this makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_loading_never_runs_code_from_the_file(small, tmp_path):
    trap = tmp_path / "ran"
    torch.save(small.state_dict() | {"extra": Payload(trap)}, tmp_path / "evil.pth")
    with open(tmp_path / "evil.pkl", "wb") as file:
        pickle.dump(Payload(trap), file)
    for name in ("evil.pth", "evil.pkl"):
        with pytest.raises(EffnetError, match=f"{name}: not a checkpoint of plain tensors"):
            load_weights(twin(num_classes=5), tmp_path / name)
    assert not trap.exists()


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"PK\x03\x04 cut short"])
def test_damaged_files(content, tmp_path):
    (tmp_path / "file.pth").write_bytes(content)
    with pytest.raises(EffnetError, match=r"file\.pth: not a checkpoint"):
        load_weights(twin(), tmp_path / "file.pth")


ADVICE = ("weights_only", "safe_globals", "trust", "Re-running", "pytorch.org")


def test_refusals_do_not_repeat_how_to_run_a_files_code(small, tmp_path):
    torch.save(small.state_dict() | {"extra": PurePosixPath("x")}, tmp_path / "code.pth")
    with open(tmp_path / "old.pth", "wb") as file:
        pickle.dump(PurePosixPath("x"), file)
    (tmp_path / "page.pth").write_bytes(b"<html>not found</html>")
    for name, reason in (
        ("code.pth", "it holds pathlib.PurePosixPath"),
        ("old.pth", "it cannot be unpickled"),
        ("page.pth", "it cannot be unpickled"),
    ):
        with pytest.raises(EffnetError) as caught:
            load_weights(twin(num_classes=5), tmp_path / name)
        assert reason in str(caught.value) and "\n" not in str(caught.value)
        assert not any(word in str(caught.value) for word in ADVICE)


def test_one_flipped_bit_gives_the_same_tensors_or_one_message(tmp_path):
    """Torch itself loads most of these files, with other numbers in them."""
    state = {"a": torch.randn(40), "b": torch.arange(6.0)}
    file = tmp_path / "file.pth"
    torch.save(state, file)
    content = file.read_bytes()
    refused = 0
    for position in range(0, len(content), 3):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        file.write_bytes(changed)
        try:
            with warnings.catch_warnings(action="ignore"):
                found = read_tensors(file)
        except EffnetError as error:
            refused += 1
            assert str(file) in str(error) and not any(word in str(error) for word in ADVICE)
        else:
            assert found.keys() == state.keys()
            assert all(torch.equal(found[name], state[name]) for name in state)
    assert refused > 100


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_tensors_that_are_no_numbers_are_refused(small, tmp_path, value, suffix):
    state = {name: tensor.clone() for name, tensor in small.state_dict().items()}
    names = [name for name, tensor in state.items() if tensor.is_floating_point()]
    state[names[3]].view(-1)[:2] = value
    path = tmp_path / f"file{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        pytest.importorskip("safetensors.torch").save_file(state, path)
    model = twin(num_classes=5)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    size = state[names[3]].numel()
    words = rf"file{suffix}: 1 of {len(state)} tensors hold NaN or infinity, the first is "
    with pytest.raises(EffnetError, match=rf"{words}{names[3]} \(2 of {size:,} values\)"):
        load_weights(model, path)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_files_without_tensors_and_without_existence(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "file.pth")
    with pytest.raises(EffnetError, match="holds no tensors"):
        load_weights(twin(), tmp_path / "file.pth")
    with pytest.raises(EffnetError, match=r"'b9'.*b0, b1.*b8-advprop"):
        load_weights(twin(), "b9")
    with pytest.raises(EffnetError, match="gray_stem is 'mean'; allowed are refuse and sum"):
        load_weights(twin(), tmp_path / "file.pth", gray_stem="mean")
    with pytest.raises(EffnetError, match="classifier is 'keep'"):
        load_weights(twin(), tmp_path / "file.pth", classifier="keep")


def test_gray_stem(small, small_file):
    gray = twin(num_classes=5, in_channels=1)
    with pytest.raises(EffnetError, match=r"_conv_stem\.weight.*3 channels.*gray_stem"):
        load_weights(gray, small_file)
    load_weights(gray, small_file, gray_stem="sum", classifier="load")
    image = torch.randn(2, 1, 48, 48)
    rgb = twin(num_classes=5).eval()
    load_weights(rgb, small_file, classifier="load")
    with torch.no_grad():
        expected = rgb(image.expand(-1, 3, -1, -1))
        assert expected.std() > 0.1
        torch.testing.assert_close(gray.eval()(image), expected, rtol=1e-4, atol=1e-6)
        for name, tensor in rgb.state_dict().items():
            if name != "_conv_stem.weight":
                assert torch.equal(gray.state_dict()[name], tensor)


def test_gray_weights_do_not_fit_rgb(tmp_path):
    save_weights(twin(in_channels=1), tmp_path / "gray.pth")
    with pytest.raises(EffnetError, match=r"_conv_stem\.weight has shape \(\d+, 1, 3, 3\)"):
        load_weights(twin(), tmp_path / "gray.pth", gray_stem="sum")


def test_freezing_leaves_the_classifier_and_the_running_statistics(small_file):
    model = twin(num_classes=9).train()
    report = load_weights(model, small_file)
    freeze_pretrained(model, report)
    assert [n for n, p in model.named_parameters() if p.requires_grad] == list(HEAD)
    assert count_trainable_parameters(model) == 9 * (model._fc.in_features + 1)
    assert all(module.training for module in model.modules())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.1)
    model(torch.randn(4, 3, 32, 32)).square().sum().backward()
    optimizer.step()
    after = model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    moving = {n for n in before if n.rpartition(".")[2] in ("running_mean", "running_var")}
    assert changed == set(HEAD) | moving | {n for n in before if n.endswith("_tracked")}


def test_freezing_everything_is_refused(small_file):
    model = twin(num_classes=5)
    report = load_weights(model, small_file, classifier="load")
    with pytest.raises(EffnetError, match="nothing to train"):
        freeze_pretrained(model, report)


def test_b0_of_the_thesis_frozen(tmp_path):
    """196 classes on frozen B0: 1280 * 196 + 196 parameters train."""
    save_weights(build_model("b0", num_classes=1000), tmp_path / "imagenet.pth")
    model = build_model("b0", num_classes=196, padding="symmetric")
    freeze_pretrained(model, load_weights(model, tmp_path / "imagenet.pth"))
    assert count_trainable_parameters(model) == 251_076


def test_saved_files_are_the_published_format_and_reproducible(small, tmp_path):
    last = twin(num_classes=5)
    last.load_state_dict(small.state_dict())
    save_weights(small, tmp_path / "a.pth")
    save_weights(last.to(memory_format=torch.channels_last), tmp_path / "b.pth")
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.pth", "b.pth"]
    package = pytest.importorskip("efficientnet_pytorch")
    save_weights(build_model("b0", num_classes=10), tmp_path / "b0.pth")
    reference = package.EfficientNet.from_name("efficientnet-b0", num_classes=10)
    reference.load_state_dict(torch.load(tmp_path / "b0.pth", weights_only=True))


def test_torchvisions_batch_norm_is_pointed_out(tmp_path):
    torch.save(torchvision_model("b0").state_dict(), tmp_path / "tv.pth")
    with pytest.warns(UserWarning, match="batch_norm_eps=1e-05"):
        report = load_weights(build_model("b0"), tmp_path / "tv.pth")
    assert any("symmetric" in note for note in report.notes)
    model = build_model("b0", padding="symmetric", batch_norm_eps=1e-5)
    assert load_weights(model, tmp_path / "tv.pth").notes == ()


def test_a_trial_s_batch_norm_follows_its_checkpoint_unless_it_is_set(tmp_path):
    path = tmp_path / "tv.pth"
    torch.save(torchvision_model("b0").state_dict(), path)
    trial = Trial(recipe="thesis", image_size=32, weights=str(path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert make_model(trial, 5, path)._blocks[3]._bn1.eps == 1e-5
    with pytest.warns(UserWarning, match="loaded under 0.001"):
        assert make_model(trial.replace(batch_norm_eps=1e-3), 5, path)._bn0.eps == 1e-3
    with pytest.raises(EffnetError, match="resnet18 keeps its own"):
        Trial(model_name="torchvision:resnet18", batch_norm_eps=1e-3)


def test_normalization():
    assert normalization_for("b3") == normalization_for("imagenet") == NORMALIZATIONS["imagenet", 3]
    mean, std = normalization_for("b8-advprop")
    low, high = ((v - mean[0]) / std[0] for v in (0.0, 1.0))
    assert (low, high) == (-1.0, 1.0)
    assert normalization_for("thesis", 1) == ((0.462,), (0.270,))
    assert normalization_for("thesis")[0] == (0.470, 0.460, 0.455)
    with pytest.raises(EffnetError, match=r"'b0' with 2|'imagenet' with 2"):
        normalization_for("b0", 2)
