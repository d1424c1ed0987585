"""One contender, one process, one measurement: `python contender.py '{"model": "ours", ...}'`.

Builds a network and a data path, trains on real images, and prints one line of JSON: images per
second of the data path alone (one core, and all), of the training step alone (one resident random
batch: the ceiling of any epoch), of a whole epoch with validation, the share of that epoch in
which the network waited for data, and the peak memory in MB.
"""

import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from peers import CLASSES, MEAN, STD, THESIS_WORKERS, network, thesis_loader
from torch import Tensor
from torch.utils.data import DataLoader

from effnet.augment import Augment
from effnet.data import CarsDataModule
from effnet.fast.graphs import GraphedStep
from effnet.fast.memory import keep_freed_memory
from effnet.loss import LabelSmoothingCrossEntropy
from effnet.training.fold import folded
from effnet.training.meter import EpochMeter
from effnet.training.trainer import together


class Contender:
    """A network and a data path with their settings, ready to train."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.batch, self.size = settings["batch"], settings["size"]
        self.data = CarsDataModule(
            settings["data"], self.size, batch_size=self.batch, n_classes=settings["classes"]
        )
        self.data.setup()
        parts = {"train": settings["train_images"], "val": settings["val_images"]}
        rows = self.data.annotations
        taken = [
            part.sample(min(len(part), parts[split]), random_state=0).index
            for split, part in rows.groupby("part")
        ]
        self.data.annotations = rows[rows.index.isin([i for index in taken for i in index])]
        self.ours = settings["loader"] == "ours"
        if self.ours and self.device.type == "cuda":
            self.data.resident(self.device)
        # As the kit's own trials on a CPU: see trainer.on_device and Classifier.evaluator.
        graphs = settings["cuda_graphs"]
        eager = self.device.type == "cpu" and not (settings["compile"] or graphs)
        self.folds = eager and settings["model"] == "ours"
        if eager and self.ours:
            self.data.together = together(self.batch, self.size)
        self.layout = torch.channels_last if settings["channels_last"] else torch.contiguous_format
        self.model = network(settings["model"], settings.get("scale", "b0"))
        self.model.to(self.device, memory_format=self.layout)
        self.augment = Augment(MEAN, STD, settings["channels_last"]).to(self.device)
        self.loss = LabelSmoothingCrossEntropy(0.1)
        options = {"fused": True} if settings["fused"] else {}
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=1e-3, capturable=graphs, **options
        )
        self.meter, self.evaluate = EpochMeter(), None
        if settings["compile"]:
            self.model.compile()
        graphed = GraphedStep if graphs else (lambda step: step)
        self.ceiling_step, self.step = graphed(self._update), graphed(self._train)
        self.val_step = graphed(self._validate)

    def _autocast(self, on: bool = True) -> torch.autocast:
        enabled = on and self.settings["precision"] == "bf16-mixed"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def _update(self, inputs: Tensor, labels: Tensor) -> Tensor:
        """One training step on normalised images."""
        self.optimizer.zero_grad()
        with self._autocast():
            logits = self._network(labels)(inputs)
            loss = self.loss(logits, labels)
        loss.backward()
        self.optimizer.step()
        self.meter.add(loss.detach(), logits.detach(), labels)
        return loss.detach()

    def _network(self, labels: Tensor) -> Callable:
        return self.model if len(labels) == self.batch else self.model.forward

    def _train(self, images: Tensor, labels: Tensor, *steps: Tensor) -> Tensor:
        """`_update`, with what the device does of the data path before it."""
        return self._update(self._prepared(images, *steps), labels)

    def _prepared(self, images: Tensor, *steps: Tensor) -> Tensor:
        if images.dtype != torch.uint8:
            return images
        return self.augment.apply_steps(images, *steps) if steps else self.augment.normalise(images)

    @torch.no_grad()
    def _validate(self, images: Tensor, labels: Tensor) -> Tensor:
        """Each batch counts for itself, also where several come as one."""
        network = self._network(labels) if self.evaluate is None else self.evaluate
        with self._autocast():
            logits = network(self._prepared(images))
            for part, truth in zip(logits.split(self.batch), labels.split(self.batch), strict=True):
                loss = self.loss(part, truth)
                self.meter.add(loss, part, truth)
        return loss

    def loader(self, split: str, workers: int) -> DataLoader:
        if self.ours:
            return self.data.train_dataloader() if split == "train" else self.data.val_dataloader()
        return thesis_loader(self.data, split, workers, self.batch)

    def batches(self, loader: DataLoader, train: bool) -> Iterator[tuple[Tensor, ...]]:
        """What `step` takes. On a CPU the whole data path ends here, warping included."""
        for images, labels in loader:
            if not self.ours:
                images = images.to(self.device, memory_format=self.layout, non_blocking=True)
                yield images, labels.to(self.device, non_blocking=True)
                continue
            steps = (self.augment.draw(images),) if train else ()
            if self.device.type == "cpu":
                yield self._prepared(images, *steps), labels
            else:
                yield images, labels, *steps

    def synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def pass_over(self, loader: DataLoader, train: bool) -> tuple[float, float]:
        """Seconds for one pass, and seconds of it spent waiting for the next batch."""
        self.model.train(train)
        step = self.step if train else self.val_step
        start, waiting = time.perf_counter(), 0.0
        if self.folds and not train:
            self.evaluate = folded(self.model)
        source = self.batches(loader, train)
        while True:
            asked = time.perf_counter()
            batch = next(source, None)
            waiting += time.perf_counter() - asked
            if batch is None:
                break
            step(*batch)
        self.synchronize()
        return time.perf_counter() - start, waiting


def data_rate(contender: Contender, workers: int, seconds: float = 2.0) -> float:
    """Images per second of the data path alone, after one unmeasured pass."""
    loader = contender.loader("train", workers)
    images, passes, start = 0, 0, time.perf_counter()
    while passes < 2 or time.perf_counter() - start < seconds:
        if passes == 1:
            images, start = 0, time.perf_counter()
        for inputs, labels, *steps in contender.batches(loader, train=True):
            contender._prepared(inputs, *steps)
            images += len(labels)
        passes += 1
    contender.synchronize()
    return images / (time.perf_counter() - start)


def step_rate(contender: Contender, seconds: float = 3.0) -> float:
    """Images per second of the step alone on one random batch that stays on the device."""
    size, batch, device = contender.size, contender.batch, contender.device
    inputs = torch.randn(batch, 3, size, size, device=device).to(memory_format=contender.layout)
    labels = torch.randint(0, CLASSES, (batch,), device=device)
    contender.model.train()
    for _ in range(8 if device.type == "cuda" else 3):  # graphs are recorded, memory is kept
        contender.ceiling_step(inputs, labels)
    contender.synchronize()
    steps, start = 0, time.perf_counter()
    while steps < 2 or time.perf_counter() - start < seconds:
        contender.ceiling_step(inputs, labels)
        steps += 1
        if steps % 20 == 0:
            contender.synchronize()
    contender.synchronize()
    return batch * steps / (time.perf_counter() - start)


def measure(settings: dict[str, Any]) -> dict[str, float]:
    """The figures that `settings["figures"]` names ("data", "step", "epoch")."""
    if settings["keep_memory"]:
        keep_freed_memory()
    torch.backends.cudnn.allow_tf32 = settings["precision"] != "32-true"
    cores = len(os.sched_getaffinity(0))
    contender = Contender(settings)
    figures: dict[str, float] = {}
    if "data" in settings["figures"]:
        figures["data_all"] = data_rate(contender, cores)
        torch.set_num_threads(1)
        figures["data_one"] = data_rate(contender, 0)
        torch.set_num_threads(cores)
    if "step" in settings["figures"]:
        figures["step"] = step_rate(contender)
    if "epoch" in settings["figures"]:
        workers = max(THESIS_WORKERS, cores) if contender.device.type == "cuda" else THESIS_WORKERS
        train, val = contender.loader("train", workers), contender.loader("val", workers)
        for _ in range(2):  # the first epoch starts workers, fills memory and compiles
            trained, waited = contender.pass_over(train, True)
            validated, waited_too = contender.pass_over(val, False)
        images = len(contender.data.split_rows("train"))
        figures["epoch"] = images / (trained + validated)
        figures["train"] = images / trained
        figures["val"] = len(contender.data.split_rows("val")) / validated
        figures["waiting"] = (waited + waited_too) / (trained + validated)
    if "sustained" in settings["figures"]:
        figures["sustained"] = sustained_rate(contender, settings["start_at"])
    if contender.device.type == "cuda":
        figures["peak_mb"] = torch.cuda.max_memory_allocated() / 1e6
    else:
        figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        for worker in multiprocessing.active_children():  # the loader's
            figures["peak_mb"] += _own_kb(worker.pid) / 1e3
    return figures


def sustained_rate(contender: Contender, start_at: float, seconds: float = 10.0) -> float:
    """Training images per second from the time `start_at` on, beside other processes."""
    loader = contender.loader("train", 0)
    contender.pass_over(loader, True)
    time.sleep(max(0.0, start_at - time.time()))
    images, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        contender.pass_over(loader, True)
        images += len(contender.data.split_rows("train"))
    return images / (time.perf_counter() - start)


def _own_kb(process: int) -> int:
    """Memory of a process that it shares with no other."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private"))


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
