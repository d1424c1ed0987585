"""Figures 2, 7, 10 and 11: the thesis's tables as it prints them, and what is counted here.

The tables that a figure takes are those of `thesis.printed` (texts) and `scaling_tables` (numbers).
"""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from effnet.plots.drawn_table import drawn_table

PRINTED, HERE = "as published", "counted here"
HALVES = {
    "public_available": "Comparison to best public-available results",
    "best_reported": "Comparison to best reported results",
}
MEAN = "Geo-Mean"

Column = tuple[str, str, "pd.Series | list[str]"]  # upper heading, heading, texts


def stages_figure(counted: pd.DataFrame) -> Figure:
    """Figure 2. `counted` from `scaling_tables.b0_comparison`."""
    heads = {"operator": "Operator", "resolution": "Resolution"}
    heads |= {"channels": "#Channels", "layers": "#Layers"}
    columns: list[Column] = [(PRINTED, "Stage", counted["stage"].astype(str))]
    for group, end in ((PRINTED, "published"), (HERE, "here")):
        columns += [
            (group, head, counted[f"{name}, {end}"].astype(str)) for name, head in heads.items()
        ]
    columns.append((HERE, "the same", ["yes" if same else "no" for same in counted["same"]]))
    table = _table(columns)
    return drawn_table(table, "Stages of EfficientNet-B0", ours=_here(table))


def models_figure(printed: pd.DataFrame, counted: pd.DataFrame) -> Figure:
    """Figure 7. `printed`: scaling_models; `counted`: `scaling_tables.scaling_models_table`."""
    table = _table(
        [
            (PRINTED, "Model", printed["model"]),
            (PRINTED, "FLOPS", _with(printed["flops_billions"], "B")),
            (PRINTED, "Top-1 Acc.", _with(printed["top1"], "%")),
            (HERE, "FLOPs", _numbers(counted["FLOPs (B), here"], "{:.2f}B")),
            (
                HERE,
                "against published",
                _numbers(counted["FLOPs (B), difference (%)"], "{:+.0f} %"),
            ),
            (HERE, "#Params", _numbers(counted["parameters, here"] / 1e6, "{:.1f}M")),
            (HERE, "image", _numbers(counted["image size"], "{:.0f} px")),
        ]
    )
    bold = _rows(table, printed["bold"] == "row") & ~_here(table)
    title = "Scaled by one dimension, and by all three"
    return drawn_table(table, title, ours=_here(table), bold=bold, rules=[1])


def performance_figure(printed: pd.DataFrame, counted: pd.DataFrame) -> Figure:
    """Figure 10. `printed`: efficientnet_paper; `counted`: `scaling_tables.performance_table`."""
    own = printed["family"] == "EfficientNet"
    cited = printed["model"] + " (" + printed["family"] + ")"
    ratio = "Ratio-to-EfficientNet"
    table = _table(
        [
            (PRINTED, "Model", printed["model"].where(own, cited)),
            (PRINTED, "Top-1 Acc.", _with(printed["top1"], "%")),
            (PRINTED, "Top-5 Acc.", _with(printed["top5"], "%")),
            (PRINTED, "#Params", _with(printed["params_millions"], "M")),
            (PRINTED, ratio, _with(printed["params_ratio"], "x")),
            (PRINTED, "#FLOPs", _with(printed["flops_billions"], "B")),
            (PRINTED, ratio, _with(printed["flops_ratio"], "x")),
            (HERE, "#Params", _numbers(counted["parameters (M), here"], "{:.2f}M")),
            (HERE, "ratio", _numbers(counted["ratio of parameters, here"], "{:.1f}x")),
            (HERE, "#FLOPs", _numbers(counted["FLOPs (B), here"], "{:.2f}B")),
            (HERE, "ratio", _numbers(counted["ratio of FLOPs, here"], "{:.1f}x")),
        ]
    )
    note = (
        "Black: published. Blue: counted on the models of this kit; a ratio is the other network's "
        "published number over it."
    )
    return drawn_table(
        table,
        "ImageNet: B0 to B7, and networks of the same accuracy",
        ours=_here(table),
        bold=_rows(table, own) & ~_here(table),
        rules=np.flatnonzero(own)[1:].tolist(),
        note=note,
    )


def transfer_figure(printed: pd.DataFrame, counted: pd.DataFrame) -> Figure:
    """Figure 11, its halves side by side, what is counted here in a line below each printed one.

    `printed`: transfer_paper; `counted`: `scaling_tables.transfer_table`. Stanford Cars is tinted.
    """
    first = printed[printed["comparison"] == next(iter(HALVES))]
    columns: list[Column] = [("", "", _below(first["dataset"], [HERE] * len(first)))]
    bold = [np.zeros(2 * len(first), dtype=bool)]
    for comparison, title in HALVES.items():
        rows = printed["comparison"] == comparison
        half = _half(printed[rows], counted[rows])
        columns += [(title, head, texts) for head, texts, _ in half]
        bold += [_below(strong, [False] * len(first)).astype(bool) for *_, strong in half]
    table = _table(columns)
    below = np.arange(len(table)) % 2 == 1
    names = first["dataset"].to_numpy().repeat(2)
    return drawn_table(
        table,
        "Transfer to eight data sets",
        ours=_rows(table, below),
        bold=np.column_stack(bold),
        rules=np.flatnonzero(names == MEAN)[:1].tolist(),
        shaded=np.flatnonzero(names == "Stanford Cars").tolist(),
        note="Black: published; “Our Model” is the paper's. Blue: parameters counted on the models "
        "of this kit,\nwith each data set's number of classes; the ratio is the compared model's "
        "published number over it.",
    )


def _half(printed: pd.DataFrame, counted: pd.DataFrame) -> list[tuple[str, np.ndarray, pd.Series]]:
    """Heading, texts (two for each data set, the second counted here) and what is printed bold."""
    mean, never = printed["dataset"] == MEAN, pd.Series(False, index=printed.index)
    size, ratio = printed["efficientnet_params_millions"], printed["params_ratio"]
    both = (size + "M (" + ratio + "x)").where(~mean, "(" + ratio + "x)").where(ratio != "", "-")
    here = [
        f"{'' if pd.isna(size) else f'{size:.1f}M'} {'' if pd.isna(r) else f'({r:.1f}x)'}".strip()
        for size, r in zip(counted["parameters (M), here"], counted["ratio, here"], strict=True)
    ]
    named = {
        "Model": (printed["model_mark"] + printed["model"], never),
        "Acc.": (_with(printed["model_acc"], "%"), printed["bold"] == "model"),
        "#Param": (_with(printed["model_params_millions"], "M"), never),
        "Our Model": (printed["efficientnet_model"], never),
        "Acc. ": (_with(printed["efficientnet_acc"], "%"), printed["bold"] == "efficientnet"),
    }
    blank = [""] * len(printed)
    half = [
        (head, _below(texts.where(~mean, ""), blank), bold) for head, (texts, bold) in named.items()
    ]
    return [*half, ("#Param (ratio)", _below(both, here), printed["bold"] == "ratio")]


def _table(columns: list[Column]) -> pd.DataFrame:
    """Texts under two rows of headings, which may repeat."""
    table = pd.DataFrame({i: list(texts) for i, (*_, texts) in enumerate(columns)})
    table.columns = pd.MultiIndex.from_tuples([heads for *heads, _ in columns])
    return table


def _here(table: pd.DataFrame) -> np.ndarray:
    """(rows, columns): the columns of what is counted here."""
    columns = table.columns.get_level_values(0) == HERE
    return np.tile(columns, (len(table), 1))


def _rows(table: pd.DataFrame, rows: "pd.Series | np.ndarray") -> np.ndarray:
    """(rows, columns): whole rows."""
    return np.tile(np.asarray(rows, dtype=bool)[:, None], (1, table.shape[1]))


def _below(first: "pd.Series | list", second: "pd.Series | list") -> np.ndarray:
    """Two columns as one, each entry of the second below its entry of the first."""
    return np.column_stack([np.asarray(first, object), np.asarray(second, object)]).ravel()


def _with(texts: pd.Series, unit: str) -> pd.Series:
    """Printed numbers with their unit; what is not known has the thesis's dash."""
    return (texts + unit).where(texts != "", "-")


def _numbers(values: pd.Series, form: str) -> list[str]:
    return ["" if pd.isna(value) else form.format(value) for value in values]
