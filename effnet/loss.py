"""Cross-entropy with smoothed targets (Szegedy et al. 2016; thesis section 5.2)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from effnet.errors import EffnetError

REDUCTIONS = ("mean", "sum", "none")


class LabelSmoothingCrossEntropy(nn.Module):
    """(1 - epsilon) * H(one-hot, p) + epsilon * H(uniform, p), where p = softmax(logits).

    For N classes that is the cross-entropy with target 1 - epsilon + epsilon / N on the right
    class and epsilon / N on each other one: 0.90051 and 0.00051 for epsilon = 0.1, N = 196. The
    thesis's code computes this too; its prose asks for 1 - epsilon and epsilon instead, which do
    not sum to 1 (claim X02). Equal to `torch.nn.CrossEntropyLoss(label_smoothing=epsilon)`.

    Args:
        epsilon: in [0, 1).
        reduction: "mean" or "sum" over the batch, or "none" for a loss per sample.
    """

    def __init__(self, epsilon: float = 0.1, reduction: str = "mean") -> None:
        super().__init__()
        if not 0 <= epsilon < 1:
            raise EffnetError(f"label smoothing epsilon is {epsilon!r}; it must be in [0, 1).")
        if reduction not in REDUCTIONS:
            raise EffnetError(
                f"loss reduction is {reduction!r}; allowed are {', '.join(REDUCTIONS)}."
            )
        self.epsilon = epsilon
        self.reduction = reduction

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (B, N) of any float type and int64 labels (B,) in 0..N-1 to a float32 loss.

        The result is a scalar, or (B,) for reduction "none".
        """
        # In float32 also where autocast left bfloat16 logits, like torch's own loss.
        log_probabilities = F.log_softmax(logits, dim=1, dtype=torch.float32)  # (B, N)
        right = -log_probabilities.gather(1, labels.unsqueeze(1)).squeeze(1)  # (B,)
        uniform = -log_probabilities.mean(1)  # (B,)
        loss = (1 - self.epsilon) * right + self.epsilon * uniform
        if self.reduction == "none":
            return loss
        return loss.mean() if self.reduction == "mean" else loss.sum()

    def extra_repr(self) -> str:
        return f"epsilon={self.epsilon}, reduction={self.reduction!r}"
