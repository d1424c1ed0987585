"""Tables 2, 7, 10 and 11 and the coefficients of B0 to B7, our own counts beside the published.

Accuracies on ImageNet and on the other data sets are published ones throughout; parameters and
multiply-adds are counted on the models of this kit (thesis sections 2.1 to 2.5).
"""

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
    """B0 as the thesis trained it: parameters and multiply-adds beside what it calls FLOPS."""
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
                "multiply-adds at 224 px, here": count_flops(model, BASE),
            }
        )
    return pd.DataFrame(rows)


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
    """Figure 10: 24 networks; ratios recomputed, our own counts in the EfficientNets' rows."""
    table = paper.copy()
    heads = table["baseline_of"].fillna(table["model"])
    base = table.set_index("model")
    for column, name in (("params_millions", "params_ratio"), ("flops_billions", "flops_ratio")):
        table[name] = (table[column] / base[column].reindex(heads).to_numpy()).round(1)
    own = table["family"] == "EfficientNet"
    counts = [measure(*SCALES[short_name(name)][:3]) for name in table.loc[own, "model"]]
    table.loc[own, "params_millions_here"] = [round(p / 1e6, 2) for p, _ in counts]
    table.loc[own, "flops_billions_here"] = [round(f / 1e9, 3) for _, f in counts]
    return table.drop(columns="baseline_of")


def transfer_table(published: pd.DataFrame) -> pd.DataFrame:
    """Figure 11: transfer to eight data sets, with the parameters of our models.

    `params_millions_here`: of the named EfficientNet with as many classes as the data set;
    `ratio_here`: the compared model's published parameters over ours. The Geo-Mean rows hold the
    geometric mean of `ratio_here` over their half. `gain`: percentage points.
    """
    table = published.copy()
    table["gain"] = (table["efficientnet_acc"] - table["model_acc"]).round(1)
    named = table["efficientnet_model"].notna()
    ours = [
        _parameters(short_name(row.efficientnet_model), CLASSES[row.dataset]) / 1e6
        for row in table[named].itertuples()
    ]
    table.loc[named, "params_millions_here"] = ours
    table["ratio_here"] = table["model_params_millions"] / table["params_millions_here"]
    means = table.groupby("comparison")["ratio_here"].transform(
        lambda r: r.prod() ** (1 / r.count())
    )
    table["ratio_here"] = table["ratio_here"].where(named, means).round(1)
    table["params_millions_here"] = table["params_millions_here"].round(2)
    return table.drop(columns=["model_mark", "bold"])


def _parameters(name: str, num_classes: int) -> int:
    with torch.device("meta"):
        return count_parameters(build_model(name, num_classes=num_classes))


def _against(name: str, here: float, published: float) -> dict[str, float]:
    return {
        f"{name}, published": published,
        f"{name}, here": round(here, 3),
        f"{name}, difference (%)": round(100 * (here / published - 1), 1),
    }
