"""Tables 2, 7, 10 and 11 and the coefficients of B0 to B7, our own counts beside the published.

Accuracies on ImageNet and on the other data sets are published ones throughout; parameters and
FLOPs (multiply-adds) are counted on the models of this kit (thesis sections 2.1 to 2.5).
"""

import numpy as np
import pandas as pd
import torch

from effnet.count import count_flops, count_parameters, layer_table
from effnet.model import SCALES, EfficientNet, build_model
from effnet.plots.scaling import BASE, measure, short_name

# Classes of the eight data sets, from their own descriptions (the EfficientNet paper's Table 6).
CLASSES = {
    "CIFAR-10": 10,
    "CIFAR-100": 100,
    "Birdsnap": 500,
    "Stanford Cars": 196,
    "Flowers": 102,
    "FGVC Aircraft": 100,
    "Oxford-IIIT Pets": 37,
    "Food-101": 101,
}


def b0_comparison(published: pd.DataFrame) -> pd.DataFrame:
    """Figure 2: the stages of our B0 beside the published table, and whether they are the same."""
    with torch.device("meta"):
        model = build_model("b0")
        assert isinstance(model, EfficientNet)
        ours = layer_table(model, BASE)
    columns = ["operator", "resolution", "channels", "layers"]
    table = published.merge(ours, on="stage", how="outer", suffixes=(", published", ", here"))
    same = [
        all(row[f"{c}, published"] == row[f"{c}, here"] for c in columns)
        for _, row in table.iterrows()
    ]
    return table[
        ["stage", *(f"{c}{s}" for c in columns for s in (", published", ", here"))]
    ].assign(same=same)


def coefficient_table(coefficients: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """B0 to B7: the thesis's coefficients and ours, parameters and FLOPs measured and published.

    `coefficients`: model (b0, ...), width_coefficient, depth_coefficient, resolution; `paper`:
    model (EfficientNet-B0, ...), params_millions, flops_billions. Differences in percent of the
    published value.
    """
    paper = paper.set_index(paper["model"].map(short_name))
    rows = []
    for row in coefficients.itertuples():
        scale = SCALES[row.model]
        parameters, flops = measure(*scale[:3])
        thesis = (row.width_coefficient, row.depth_coefficient, row.resolution)
        rows.append(
            {
                "model": row.model,
                "width": scale.width_coefficient,
                "depth": scale.depth_coefficient,
                "resolution": scale.resolution,
                "coefficients as in the thesis": thesis == scale[:3],
                "parameters, here": parameters,
                **_against("parameters (M)", parameters / 1e6, paper["params_millions"][row.model]),
                **_against("FLOPs (B)", flops / 1e9, paper["flops_billions"][row.model]),
            }
        )
    return pd.DataFrame(rows)


def parameter_table(claims: pd.DataFrame, num_classes: int = 196) -> pd.DataFrame:
    """B0 as the thesis trained it: parameters and FLOPs beside what it calls FLOPS."""
    said = claims.set_index("id")["value"]
    rows = []
    for channels, claim in ((1, "C047"), (3, "C048")):
        with torch.device("meta"):
            model = build_model("b0", num_classes=num_classes, in_channels=channels)
        rows.append(
            {
                "input channels": channels,
                'thesis, called "FLOPS"': int(said[claim]),
                "parameters, here": count_parameters(model),
                "FLOPs at 224 px, here": count_flops(model, BASE),
            }
        )
    return pd.DataFrame(rows)


def points_table(points: pd.DataFrame) -> pd.DataFrame:
    """The points of figures 5 and 6 (`scaling.scaling_points`), columns in words with units."""
    return points.rename(
        columns={
            "flops_billions": "FLOPs (B), published",
            "top1": "top-1 (%), published",
            "width_coefficient": "width, here",
            "depth_coefficient": "depth, here",
            "image_size": "image (px), here",
            "measured_flops_billions": "FLOPs (B), here",
        }
    ).round({"FLOPs (B), here": 3})


def scaling_models_table(published: pd.DataFrame) -> pd.DataFrame:
    """Figure 7: five networks, their published FLOPs and accuracy, and our FLOPs."""
    rows = []
    for row in published.fillna({"depth": 1.0, "width": 1.0, "resolution": 1.0}).itertuples():
        parameters, flops = measure(row.width, row.depth, round(BASE * row.resolution))
        published_flops = _against("FLOPs (B)", flops / 1e9, row.flops_billions)
        rows.append(
            {"model": row.model, "top-1 (%), published": row.top1}
            | published_flops
            | {"parameters, here": parameters, "image size": round(BASE * row.resolution)}
        )
    return pd.DataFrame(rows)


def performance_table(paper: pd.DataFrame) -> pd.DataFrame:
    """Figure 10 in numbers: 24 networks, and our own counts of the EfficientNets among them.

    A ratio here is the other network's published number over our count of the EfficientNet that
    heads its block.
    """
    own = paper["family"] == "EfficientNet"
    counts = {name: measure(*SCALES[short_name(name)][:3]) for name in paper.loc[own, "model"]}
    table = paper[["model", "top1", "top5"]].set_axis(["model", "top-1 (%)", "top-5 (%)"], axis=1)
    for i, (what, column, unit, size) in enumerate(
        [("parameters", "params", "M", 1e6), ("FLOPs", "flops", "B", 1e9)]
    ):
        here, heads = (
            np.array([counts[name][i] / size if name in counts else np.nan for name in paper[key]])
            for key in ("model", "baseline_of")
        )
        published = paper[f"{column}_{'millions' if unit == 'M' else 'billions'}"]
        table[f"{what} ({unit}), published"] = published
        table[f"ratio of {what}, published"] = paper[f"{column}_ratio"]
        table[f"{what} ({unit}), here"] = here.round(3)
        table[f"ratio of {what}, here"] = (published / heads).round(1)
    return table.assign(source=paper["family"])


def transfer_table(published: pd.DataFrame) -> pd.DataFrame:
    """Figure 11 in numbers: transfer to eight data sets, with the parameters of our models.

    `parameters (M), here`: of the named EfficientNet with as many classes as the data set;
    `ratio, here`: the compared model's published parameters over ours. The Geo-Mean rows hold the
    geometric mean of that over their half. `gain`: percentage points.
    """
    named = published["efficientnet_model"].notna()
    counts = pd.Series(np.nan, published.index)
    counts[named] = [
        _parameters(short_name(row.efficientnet_model), CLASSES[row.dataset]) / 1e6
        for row in published[named].itertuples()
    ]
    ratio = published["model_params_millions"] / counts
    means = ratio.groupby(published["comparison"]).transform(lambda r: r.prod() ** (1 / r.count()))
    return pd.DataFrame(
        {
            "compared with": published["comparison"].str.replace("_", " "),
            "data set": published["dataset"],
            "model": published["model"],
            "its accuracy (%)": published["model_acc"],
            "its parameters (M)": published["model_params_millions"],
            "EfficientNet": published["efficientnet_model"],
            "accuracy (%)": published["efficientnet_acc"],
            "gain": (published["efficientnet_acc"] - published["model_acc"]).round(1),
            "parameters (M), published": published["efficientnet_params_millions"],
            "ratio, published": published["params_ratio"],
            "parameters (M), here": counts.round(2),
            "ratio, here": ratio.where(named, means).round(1),
        }
    )


def _parameters(name: str, num_classes: int) -> int:
    with torch.device("meta"):
        return count_parameters(build_model(name, num_classes=num_classes))


def _against(name: str, here: float, published: float) -> dict[str, float]:
    return {
        f"{name}, published": published,
        f"{name}, here": round(here, 3),
        f"{name}, difference (%)": round(100 * (here / published - 1), 1),
    }
