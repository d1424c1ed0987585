"""What an epoch's losses and hits add up to."""

import torch
from torch import Tensor

from effnet.training.sharing import Share, total

TOP_K = (1, 3, 5, 10)


class EpochMeter:
    """Sums over the batches of an epoch, kept on the device until the epoch ends.

    Gives every mean in two forms: per sample, and as the thesis has it, the unweighted mean of
    the batch means (its last, short batch counts as much as a full one). Where several processes
    share each batch, they are those of whole batches.
    """

    def __init__(self) -> None:
        self.sums: Tensor | None = None
        self.batches = self.images = 0

    def count(self, images: int) -> None:
        """A batch of so many images was added."""
        self.batches += 1
        self.images += images

    @torch.no_grad()
    def add(self, loss: Tensor, logits: Tensor, labels: Tensor, whole: int = 0) -> None:
        """Add B of a batch's `whole` images (0: B): mean loss (), logits (B, classes), labels (B,).

        On the device alone.
        """
        n = len(labels)
        whole = whole or n
        best = logits.topk(min(max(TOP_K), logits.shape[1]), dim=1).indices
        hits = (best == labels[:, None]).sum(0)
        correct = [hits[:k].sum() for k in TOP_K]
        # Metal has no float64; 2^24 images an epoch are still counted exactly in float32.
        dtype = torch.float32 if loss.device.type == "mps" else torch.float64
        row = torch.stack(
            [v.to(dtype) for v in (loss * (n / whole), loss * n, correct[0] / whole, *correct)]
        )
        if self.sums is None:
            self.sums = torch.zeros_like(row)
        self.sums += row  # in place: a CUDA graph knows this tensor

    def row(
        self, split: str, share: Share = (0, 1), device: torch.device | str = "cpu"
    ) -> dict[str, float]:
        """Means of the epoch so far, over all processes; the sums start anew."""
        assert self.images, f"no batch of the {split} split was seen"
        if self.sums is None:  # fewer images than processes, and this one had none
            self.sums = torch.zeros(3 + len(TOP_K), dtype=torch.float64, device=device)
        loss_means, loss_sum, acc_means, *correct = total(self.sums, share).tolist()
        n, batches = self.images, self.batches
        self.sums.zero_()
        self.batches = self.images = 0
        row = {
            f"{split}_loss": loss_sum / n,
            f"{split}_acc": correct[0] / n,
            f"{split}_loss_batch_mean": loss_means / batches,
            f"{split}_acc_batch_mean": acc_means / batches,
        }
        return row | {f"{split}_top{k}": c / n for k, c in zip(TOP_K, correct, strict=True)}
