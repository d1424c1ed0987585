"""Steps that a CUDA graph records: the same training as Lightning's own, with graphs and without.

On a CPU a stand-in replays by calling again; the tests marked `cuda` record for real.
"""

import pytest
import pytorch_lightning as pl
import torch

from effnet.demo.folder import make_demo
from effnet.errors import EffnetError
from effnet.runs import metrics
from effnet.train import data_module, make_classifier, run
from effnet.training import module
from effnet.trial import Trial

cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


class Replayed:
    """GraphedStep without a GPU: fixed input tensors, overwritten, for batches of one shape."""

    def __init__(self, step):
        self.step, self.inputs, self.replays, self.beside = step, None, 0, 0

    def __call__(self, *inputs):
        self.inputs = self.inputs or [torch.empty_like(tensor) for tensor in inputs]
        if any(a.shape != b.shape for a, b in zip(self.inputs, inputs, strict=True)):
            self.beside += 1
            return self.step(*inputs)
        for static, tensor in zip(self.inputs, inputs, strict=True):
            static.copy_(tensor)
        self.replays += 1
        return self.step(*self.inputs)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    data = make_demo(tmp_path_factory.mktemp("data") / "smoke", size="smoke")
    return Trial(
        recipe="thesis", data_dir=str(data), image_size=32, batch_size=10, epochs=3,
        batch_norm_momentum=0.1, lr_patience=0, lr_threshold=0.9,
        width_coefficient=0.3, depth_coefficient=0.35,
    )  # fmt: skip


def fitted(trial, tmp_path):
    data = data_module(trial)
    data.setup()
    classifier = make_classifier(trial, data.num_classes, None)
    rows = []

    class Rows(pl.loggers.logger.DummyLogger):
        def log_metrics(self, metrics, step=None):
            rows.append({k: v for k, v in metrics.items() if k != "seconds"})

    pl.Trainer(
        max_epochs=trial.epochs, logger=Rows(), num_sanity_val_steps=0, accelerator="auto",
        inference_mode=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, precision=trial.precision,
    ).fit(classifier, data)  # fmt: skip
    return classifier, rows


@pytest.mark.parametrize("augment", [True, False])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_recorded_step_trains_as_lightning_does(small, tmp_path, monkeypatch, augment, precision):
    # Evaluated by the same network, folded nowhere: the rows are compared bit for bit.
    monkeypatch.setattr(module.Classifier, "evaluator", lambda self: self.model)
    plain = small.replace(augment=augment, precision=precision)
    expected, rows = fitted(plain, tmp_path)
    monkeypatch.setattr(module, "GraphedStep", Replayed)
    got, graphed = fitted(plain.replace(cuda_graphs=True), tmp_path)
    assert graphed == rows
    assert [row["lr"] for row in rows][-1] < rows[0]["lr"]
    for a, b in zip(got.model.parameters(), expected.model.parameters(), strict=True):
        assert torch.equal(a, b)
    # The last, shorter batch of every epoch was trained on too, beside the recording.
    assert (got._train_step.replays, got._train_step.beside) == (12, 3)
    assert got._val_step.beside == 3


def test_without_a_gpu_it_is_refused_before_training(small, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(EffnetError, match="cuda_graphs is True.*set it to False"):
        run(small.replace(cuda_graphs=True), tmp_path)
    assert not any(tmp_path.iterdir())


@cuda
def test_graphs_on_the_gpu_give_the_numbers_of_plain_steps(small, tmp_path):
    plain = metrics(run(small, tmp_path / "plain"))
    graphed = metrics(run(small.replace(cuda_graphs=True), tmp_path / "graphs"))
    columns = ["train_loss", "val_loss", "train_acc", "lr"]
    torch.testing.assert_close(
        torch.tensor(graphed[columns].to_numpy()), torch.tensor(plain[columns].to_numpy()),
        rtol=0.05, atol=0.05,
    )  # fmt: skip


@cuda
def test_a_recording_sees_new_inputs_new_randomness_and_a_new_rate():
    weight = torch.zeros(1, device="cuda")
    rate = torch.tensor(1.0, device="cuda")

    def step(x):
        weight.add_(x.sum() * rate + 0 * torch.rand(1, device="cuda"))
        return torch.rand(4, device="cuda") + 0 * x.sum()

    graphed = module.GraphedStep(step)
    one = torch.ones(2, device="cuda")
    drawn = [graphed(one * i).clone() for i in range(6)]
    assert graphed.graph is not None
    assert weight.item() == 2 * sum(range(6))
    assert len({tuple(d.tolist()) for d in drawn}) == 6
    rate.fill_(0.0)
    graphed(one)
    assert weight.item() == 2 * sum(range(6))
    torch.manual_seed(3)
    first = graphed(one).clone()
    torch.manual_seed(3)
    assert torch.equal(first, graphed(one))
