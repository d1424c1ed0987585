"""Claims about the network, counted on models that the kit builds."""

import pandas as pd
import torch

from effnet import thesis
from effnet.count import block_shapes, count_flops, count_parameters, layer_table
from effnet.model import SCALES, EfficientNet, build_model
from effnet.verdicts.finding import COUNT, EXACT, Finding, holds, same

CLASSES = 196  # of Stanford Cars; the thesis replaced the classifier (section 5)


def findings(expected: dict[str, str]) -> dict[str, Finding]:
    """Findings by claim id for sections 2.1, 2.3 and 5.4."""
    with torch.random.fork_rng():  # building draws weights; a verdict must not move a seed
        gray, rgb = (build_model("b0", num_classes=CLASSES, in_channels=n) for n in (1, 3))
    assert isinstance(rgb, EfficientNet)
    shapes = block_shapes(rgb, SCALES["b0"].resolution)
    parameters = [count_parameters(gray), count_parameters(rgb)]
    flops = count_flops(rgb, SCALES["b0"].resolution)
    return {
        "C005": _stages(expected, layer_table(rgb, SCALES["b0"].resolution)),
        "C006": same(
            int((shapes["expand_ratio"] > 0).sum()),
            int(expected["C006"]),
            COUNT,
            "MBConv modules of the model",
        ),
        "C009": _coefficients(expected),
        "C047": same(
            parameters[0],
            int(expected["C047"]),
            COUNT,
            "These are parameters of the model, not FLOPs (X03)",
        ),
        "C048": same(
            parameters[1],
            int(expected["C048"]),
            COUNT,
            f"Parameters too; {parameters[1] - parameters[0]} more, all in the stem (X03)",
        ),
        "X03": holds(
            parameters == [int(v) for v in expected["X03"].split(";")],
            "; ".join(map(str, parameters)),
            EXACT,
            COUNT,
            f"Parameters. A forward pass at 224 px takes {flops / 1e9:.2f} billion FLOPs",
        ),
        "X15": _size_of_80_channels(expected, shapes),
    }


def _stages(expected: dict[str, str], table: pd.DataFrame) -> Finding:
    published = thesis.b0_table()
    columns = ["stage", "resolution", "channels", "layers"]
    ours, theirs = table[columns].to_numpy().tolist(), published[columns].to_numpy().tolist()
    equal = sum(row in ours for row in theirs)
    found = f"{equal} of {len(published)} rows equal the published table's"
    return same(len(table), int(expected["C005"]), COUNT, found)


def _coefficients(expected: dict[str, str]) -> Finding:
    equal = []
    for row in thesis.scaling_coefficients().itertuples():
        scale = SCALES[row.model]
        ours = (scale.width_coefficient, scale.depth_coefficient, scale.resolution)
        if ours == (row.width_coefficient, row.depth_coefficient, row.resolution):
            equal.append(row.model)
    return same(
        len(equal),
        int(expected["C009"]),
        "networks whose three coefficients are equal",
        f"Equal: {', '.join(equal)}",
    )


def _size_of_80_channels(expected: dict[str, str], shapes: pd.DataFrame) -> Finding:
    blocks = shapes[(shapes["out_channels"] == 80) & (shapes["expand_ratio"] > 0)]
    size = "; ".join(sorted({f"{b.out_height}x{b.out_width}" for b in blocks.itertuples()}))
    wrong, right = expected["X15"].split(";")
    return holds(
        size == right,
        size,
        EXACT,
        "shapes read from the model",
        f"All {len(blocks)} blocks of 80 channels put out {size}; figure 1 says {wrong}",
    )
