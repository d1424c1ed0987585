"""Where the thesis's own code and a corrected one part: one table, one field each.

`recipe="thesis"` reproduces what the original did, `recipe="corrected"` mends it. A recipe only
fills in fields of a `Trial` that were left at None; any of them can be set by hand.
"""

from typing import Any, NamedTuple

import pandas as pd


class Difference(NamedTuple):
    """One field of a trial that the two recipes fill differently."""

    field: str
    thesis: Any
    corrected: Any
    why: str


DIFFERENCES = (
    Difference(
        "padding",
        "symmetric",
        "same",
        "The published checkpoints come from TensorFlow, which pads strided layers on the far "
        "side only; the thesis pads k//2 on all sides, as torchvision does.",
    ),
    Difference(
        "normalization",
        "thesis",
        "checkpoint",
        "The thesis normalises with its own mean and deviation; a checkpoint expects the ones it "
        "was trained with (ImageNet's, or [-1, 1] for AdvProp).",
    ),
    Difference(
        "validation",
        "test",
        "holdout",
        "The thesis drives scheduler, early stopping and the best epoch with the official test "
        "split, so its figures are optimistic; the corrected recipe holds out a part of the "
        "training split and touches the test split once, at the end.",
    ),
    Difference(
        "epoch_mean",
        "batches",
        "samples",
        "The thesis averages over batches, so the short last batch counts as much as a full one; "
        "the corrected recipe weighs every image alike (both are always recorded).",
    ),
    Difference(
        "predict_with",
        "last",
        "best",
        "The thesis keeps the best checkpoint and never loads it: its predictions come from the "
        "last epoch's weights.",
    ),
    Difference(
        "gray_stem",
        "refuse",
        "sum",
        "Pretrained weights do not fit one input channel and the original fails there; summing "
        "the stem's RGB filters is the same function on gray images.",
    ),
)

RECIPES: dict[str, dict[str, Any]] = {
    "thesis": {d.field: d.thesis for d in DIFFERENCES},
    "corrected": {d.field: d.corrected for d in DIFFERENCES},
}


def recipe_table() -> pd.DataFrame:
    """The differences as a table: field, thesis, corrected, why."""
    return pd.DataFrame(DIFFERENCES)
