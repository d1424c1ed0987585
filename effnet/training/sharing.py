"""What the processes of one run tell each other: sums, process 0's tensors, all rows in order.

Process r of w has the rows r, r + w, r + 2 w, ... of every batch and of every split. `share` is
(r, w) everywhere; with (0, 1) nothing is sent, and what comes in goes out as it is.
"""

from collections.abc import Iterable

import torch
import torch.distributed as dist
from torch import Tensor

from effnet.errors import EffnetError
from effnet.trial import Trial

Share = tuple[int, int]


def own(whole: int, share: Share) -> int:
    """How many of `whole` rows are this process's."""
    return len(range(share[0], whole, share[1]))


def check_last_batch(trial: Trial, images: int) -> None:
    """Batch norm cannot train on one image whose features have shrunk to one pixel."""
    shares = [(rank, trial.processes) for rank in range(trial.processes)]
    sizes = {own(n, share) or n for n in (trial.batch_size, images % trial.batch_size)
             for share in shares}  # fmt: skip
    if 1 in sizes and trial.side <= 32:
        who = "holds one" if trial.processes == 1 else "leaves one for one of the processes"
        raise EffnetError(
            f"batch_size is {trial.batch_size}: the last batch of {images} training images {who}, "
            f"and at {trial.image_size} px batch norm cannot train on one. Choose another "
            "batch_size or a larger image_size."
        )


def total(tensor: Tensor, share: Share) -> Tensor:
    """The sum of every process's tensor, the same on each."""
    if share[1] > 1:
        tensor = tensor.clone()
        dist.all_reduce(tensor)
    return tensor


@torch.no_grad()
def from_first(tensors: Iterable[Tensor], share: Share) -> None:
    """Give these tensors, in place, the values that they have in process 0."""
    if share[1] > 1:
        for tensor in tensors:
            sent = tensor.contiguous()
            dist.broadcast(sent, 0)
            tensor.copy_(sent)


def all_rows(rows: Tensor, whole: int, share: Share) -> Tensor:
    """The `whole` rows of all processes in their order, from each one's own (n, ...)."""
    rank, world = share
    if world == 1:
        return rows
    padded = rows.new_zeros(own(whole, (0, world)), *rows.shape[1:])
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in range(world)]
    dist.all_gather(parts, padded)
    return torch.stack(parts, 1).flatten(0, 1)[:whole]
