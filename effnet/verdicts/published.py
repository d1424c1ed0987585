"""Claims about the EfficientNet paper's own numbers, recomputed from the published tables.

The tables are figures 5 to 7 and 9 to 11 of the thesis, carried over in `data/thesis/`.
"""

import numpy as np
import pandas as pd

from effnet import thesis
from effnet.verdicts.finding import Finding, cannot_be_checked, close, holds, same

LAST_DIGIT = "half of the last printed digit"
PIXELS = "read from a picture"


def findings(expected: dict[str, str]) -> dict[str, Finding]:
    """Findings by claim id, for the claims of sections 1 and 2 that need no model."""
    return {**_imagenet(expected), **_scaling(expected), **_transfer(expected)}


def _imagenet(expected: dict[str, str]) -> dict[str, Finding]:
    dots = thesis.params_vs_accuracy().set_index("model")
    table = thesis.efficientnet_paper().set_index("model")
    ratio = table.at["GPipe", "params_millions"] / table.at["EfficientNet-B7", "params_millions"]
    printed = table.at["EfficientNet-B7", "top1"]
    points = thesis.scaling_paper()
    first = points[points["flops_billions"] == points["flops_billions"].min()]["top1"].iloc[0]
    baseline = [
        first,
        dots.at["EfficientNet-B0", "top1"],
        table.at["EfficientNet-B0", "top1"],
        thesis.scaling_models()["top1"].iloc[0],
    ]
    others = [
        name.removeprefix("EfficientNet-")
        for name in table.index[table["family"] == "EfficientNet"]
        if name != "EfficientNet-B0" and round(dots.at[name, "top1"], 1) != table.at[name, "top1"]
    ]
    return {
        "C001": close(
            dots.at["EfficientNet-B7", "top1"],
            expected["C001"],
            0.02,
            PIXELS,
            f"Read from figure 9; figure 10 prints {printed} for the same network",
            digits=1,
        ),
        "C002": close(ratio, expected["C002"], 0.05, LAST_DIGIT, "GPipe over B7, figure 10", 2),
        "C003": cannot_be_checked("No table or figure of the thesis has a latency"),
        "C004": cannot_be_checked("A constant of the paper's search, which the kit does not run"),
        "X13": close(
            baseline,
            expected["X13"],
            0.02,
            PIXELS,
            "Figures 5 and 6, 9, 10 and 7 give B0 four different accuracies; between "
            f"figures 9 and 10 {', '.join(others)} differ too",
            digits=1,
        ),
        "X19": cannot_be_checked("The kit carries over numbers, not the list of references"),
    }


def _scaling(expected: dict[str, str]) -> dict[str, Finding]:
    points = thesis.scaling_paper()
    width = points[(points["figure"] == 5) & (points["method"] == "width")].set_index("coefficient")
    last, first = width.loc[[3.8, 5.0]], width.loc[[1.0, 1.4]]
    slope = [
        np.diff(part["top1"])[0] / np.diff(part["flops_billions"])[0] for part in (first, last)
    ]
    models = thesis.scaling_models()
    single = models[models[["depth", "width", "resolution"]].notna().sum(axis=1) == 1]
    compound = models[models[["depth", "width", "resolution"]].notna().all(axis=1)]
    starts = points.groupby("figure")["flops_billions"].min()
    return {
        "C007": close(
            np.diff(last["top1"])[0].item(),
            expected["C007"],
            0.02,
            f"two points {PIXELS}, ±0.01 each",
            f"{slope[1]:.2f} pp per billion FLOPs there, {slope[0]:.1f} from w=1.0 to w=1.4",
            digits=2,
        ),
        "C008": close(
            (compound["top1"].iloc[0] - single["top1"].max()).item(),
            expected["C008"],
            0.05,
            LAST_DIGIT,
            "Compound over the best of the three single scalings in figure 7",
            digits=1,
        ),
        "X14": close(
            [starts[5].item(), starts[6].item()],
            expected["X14"],
            0.01,
            PIXELS,
            f"The same point; figure 7 prints {models['flops_billions'].iloc[0]:g}",
            digits=2,
        ),
    }


def _transfer(expected: dict[str, str]) -> dict[str, Finding]:
    table = thesis.transfer_paper()
    best = table[(table["comparison"] == "best_reported") & (table["dataset"] != "Geo-Mean")]
    wins = best[best["efficientnet_acc"] >= best["model_acc"]]
    from_columns = best["model_params_millions"] / best["efficientnet_params_millions"]
    cars = table[table["dataset"] == "Stanford Cars"].set_index("comparison")
    networks = ", ".join(
        f"{row.efficientnet_acc:g} ({row.efficientnet_model.removeprefix('EfficientNet-')})"
        for row in cars.itertuples()
    )
    ours = 100 * thesis.published_runs().set_index("run").at["SAN-319", "max_val_acc"]
    lowest = cars["efficientnet_acc"].min()
    return {
        "C010": same(
            len(wins),
            int(expected["C010"]),
            "a count; ties count for EfficientNet",
            ", ".join(wins["dataset"]),
        ),
        "C011": close(
            _geometric_mean(best["params_ratio"]),
            expected["C011"],
            0.05,
            LAST_DIGIT,
            "Geometric mean of the printed ratios; from the printed parameter counts it is "
            f"{_geometric_mean(from_columns):.2f}",
            digits=2,
        ),
        "C012": close(
            cars.at["public_available", "efficientnet_acc"],
            expected["C012"],
            0.0,
            "as printed",
            f"Figure 11 lists {networks}, none for B0",
            digits=1,
        ),
        "X04": holds(
            lowest > ours and lowest == float(expected["X04"]),
            f"{lowest:g}",
            "exact",
            "as printed",
            f"Figure 11 lists {networks}, the thesis reached {ours:.1f}",
        ),
    }


def _geometric_mean(values: pd.Series) -> float:
    return float(np.exp(np.log(values.dropna()).mean()))
