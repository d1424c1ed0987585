"""The published numbers: complete, typed, and consistent with one another."""

import shutil

import numpy as np
import pandas as pd
import pytest

from effnet import thesis
from effnet.errors import EffnetError

LOADERS = [
    thesis.claims,
    thesis.sections,
    thesis.figures,
    thesis.heatmaps,
    thesis.heatmaps_exact,
    thesis.grid,
    thesis.histories,
    thesis.noise,
    thesis.sibling_runs,
    thesis.published_runs,
    thesis.prediction_matrix_runs,
    thesis.class_distribution,
    thesis.scaling_coefficients,
    thesis.scaling_models,
    thesis.scaling_paper,
    thesis.params_vs_accuracy,
    thesis.efficientnet_paper,
    thesis.transfer_paper,
    thesis.b0_table,
    thesis.b0_drawing,
    thesis.annotations,
]


@pytest.mark.parametrize("loader", LOADERS, ids=lambda f: f.__name__)
def test_a_loader_returns_a_table_of_its_own(loader):
    first = loader()
    assert len(first) > 0
    first.drop(columns=first.columns[0], inplace=True)
    pd.testing.assert_frame_equal(loader(), loader())
    assert not loader().equals(first)


def test_claims_are_complete_and_all_text():
    claims = thesis.claims()
    assert list(claims["id"]) == [f"C{i:03d}" for i in range(1, 121)] + [
        f"X{i:02d}" for i in range(1, 36)
    ]
    assert set(claims["kind"]) == {"claim", "contradiction", "confounding", "note"}
    assert set(claims.loc[claims["kind"] == "claim", "id"].str[0]) == {"C"}
    more = claims[claims["exact"] != ""]
    assert len(more) > 15 and (more["exact"] != more["value"]).all()
    assert all(isinstance(value, str) for value in claims.to_numpy().ravel())
    assert (claims[["claim", "value", "checkable_from", "notebook"]] != "").all(axis=None)
    sources = {"model", "annotations", "train images", "training run", "published data"}
    assert set(claims["checkable_from"]) == sources


def test_claims_and_figures_refer_to_what_exists():
    claims, figures, sections = thesis.claims(), thesis.figures(), thesis.sections()
    assert list(figures["figure"]) == [f"fig{i:02d}" for i in range(1, 35)]
    named = {figure for cell in claims["figure"] for figure in cell.split(";") if figure}
    assert named <= set(figures["figure"])
    assert set(claims["section"]) | set(figures["section"]) <= set(sections["section"])
    assert set(claims["notebook"]) <= set(figures["notebook"])


# -- the run table: each check returns what is wrong, and is shown to find a planted error


def wrong_margins() -> list[str]:
    """Cells of the exact heatmaps that do not follow from the grid to the last digit."""
    grid, wrong = thesis.grid(), []
    extra = thesis.published_runs().query("run == 'SAN-414'").assign(lr_patience=3)
    extra = extra.rename(columns=lambda c: f"published_{c}" if c.startswith("max_") else c)
    for cell in thesis.heatmaps_exact().itertuples():
        pool = grid if pd.notna(cell.figure) else pd.concat([grid, extra])
        pool = pool if cell.group == "all" else pool[pool["group"] == cell.group]
        runs = pool[pool[cell.parameter] == cell.value]
        ours = [
            statistic(runs[f"published_max_{split}_acc"])
            for split in ("val", "train")
            for statistic in (pd.Series.max, pd.Series.mean)
        ]
        theirs = [*cell[5:9]]
        if not np.allclose(ours, theirs, rtol=0, atol=5.1e-7) or len(runs) != cell.n_experiments:
            wrong.append(f"{cell.group} {cell.parameter} {cell.value}")
        if sorted(runs["run"]) != sorted(cell.runs.split(";")):
            wrong.append(f"runs of {cell.group} {cell.parameter} {cell.value}")
    return wrong


def wrong_prints() -> list[str]:
    """Printed cells that are no rounding of the exact ones to two significant digits."""
    keys = ["figure", "group", "parameter", "value"]
    both = thesis.heatmaps().merge(thesis.heatmaps_exact(), on=keys, suffixes=("", "_exact"))
    assert len(both) == 48
    columns = [c for c in both if c.startswith("max_") and not c.endswith("_exact")]
    rounded = both[[f"{c}_exact" for c in columns]].map(lambda v: float(f"{v:.2g}"))
    same = np.isclose(rounded.to_numpy(), both[columns].to_numpy()).all(axis=1)
    same &= (both["n_experiments"] == both["n_experiments_exact"]).to_numpy()
    return both.loc[~same, "value"].astype(str).tolist()


def wrong_runs() -> list[str]:
    """Runs of the grid that the table of runs tells otherwise, or that do not add up."""
    runs, grid = thesis.published_runs().set_index("run"), thesis.grid().set_index("run")
    known = runs.reindex(grid.index)
    wrong = []
    for name, column in {
        "published_max_val_acc": "max_val_acc",
        "published_max_train_acc": "max_train_acc",
        "dropout_rate": "dropout_rate",
        "weight_decay": "weight_decay",
        "lr_patience": "patience",
    }.items():
        told = known[column].notna()
        same = np.isclose(known.loc[told, column].astype(float), grid.loc[told, name], atol=5e-7)
        wrong += list(grid.index[told][~same])
    drawn = set(thesis.prediction_matrix_runs()["run"])
    table = {*grid.index, "SAN-414"}
    if (len(grid), len(table), len(drawn)) != (65, 66, 62) or not drawn < table:
        wrong.append("65 + SAN-414 = 66, 66 - 4 = 62")
    return wrong


def wrong_noise() -> list[str]:
    """Rows of noise.csv that do not follow from the runs they name."""
    grid = thesis.grid().set_index("run")["published_max_val_acc"]
    sibling = thesis.sibling_runs().set_index("experiment")["best_valid_acc"]
    group = thesis.grid().set_index("run")
    gray = (group["group"] == "scratch_gray") & (group["weight_decay"] <= 0.1)
    rgb3 = (group["group"] == "scratch_rgb") & (group["lr_patience"] == 3)
    named = {
        "pretrained_all15": grid[group["group"] == "pretrained"],
        "pretrained_repeat_0_0.2": grid[["SAN-402", "SAN-405"]],
        "pretrained_repeat_0.1_0.2": grid[["SAN-401", "SAN-406"]],
        "rgb_patience7_batch96": grid[[f"SAN-{n}" for n in (433, *range(438, 452, 2))]],
        "rgb_patience3": grid[rgb3],
        "gray_decay_to_0.1_without_463": grid[gray].drop("SAN-463"),
        "sibling_repeat": sibling[["C-26", "C-27", "C-28", "C-29"]],
    }
    told = thesis.noise().set_index("id")
    return [
        name
        for name, values in named.items()
        if abs(told.at[name, "sd"] - values.std()) > 5.1e-7
        or abs(told.at[name, "mean_max_val_acc"] - values.mean()) > 5.1e-7
        or (told.at[name, "n"], told.at[name, "freedom"]) != (len(values), len(values) - 1)
    ]


CHECKS = [wrong_margins, wrong_prints, wrong_runs, wrong_noise]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_run_table_is_consistent(check):
    assert check() == []


@pytest.mark.parametrize(
    "file, old, new, check",
    [
        ("grid", "SAN-441,0.796682", "SAN-441,0.796683", wrong_margins),
        ("grid", "scratch_rgb,0.3,0.3,7", "scratch_rgb,0.3,0.2,7", wrong_margins),
        ("heatmaps_exact", "0.481128", "0.481129", wrong_margins),
        ("heatmaps", "27,scratch_rgb,dropout_rate,0.6,0.53", "27,scratch_rgb,dropout_rate,0.6,0.54",
         wrong_prints),
        ("runs", "0.748454", "0.748544", wrong_runs),
        ("grid", "SAN-433,0.766272", "SAN-433,0.776272", wrong_noise),
        ("noise", "0.002934", "0.003934", wrong_noise),
    ],
)  # fmt: skip
def test_a_planted_error_is_noticed(file, old, new, check, monkeypatch, tmp_path):
    shutil.copytree(thesis.FOLDER, tmp_path / "thesis")
    path = tmp_path / "thesis" / f"{file}.csv"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    monkeypatch.setattr(thesis, "FOLDER", tmp_path / "thesis")
    thesis._cached.cache_clear()
    try:
        assert check() != []
    finally:
        thesis._cached.cache_clear()


def test_annotations_give_the_published_counts():
    table = thesis.annotations()
    assert list(table.columns) == [
        *("path", "class_id", "class_name", "split", "x1", "y1", "x2", "y2"),
    ]
    assert len(table) == 16_185 and table["path"].is_unique
    assert dict(table["split"].value_counts()) == {"train": 8144, "test": 8041}
    of_class = table["class_id"].value_counts()
    assert len(of_class) == 196 and of_class.idxmax() == 118 and of_class.max() == 136
    assert set(table.loc[table["class_id"] == 118, "class_name"]) == {"GMC Savana Van 2012"}
    assert (table["x1"] < table["x2"]).all() and (table["y1"] < table["y2"]).all()
    bars, edges = np.histogram(of_class, bins=30)
    bins = thesis.class_distribution()
    assert list(bars) == list(bins["n_classes"])
    np.testing.assert_allclose(edges[:-1], bins["left"], atol=0.005)


def test_class_names_are_by_id():
    names = thesis.class_names()
    assert len(names) == len(set(names)) == 196
    assert names[118] == "GMC Savana Van 2012" and names[183] == "Suzuki SX4 Sedan 2012"


def test_printed_tables_keep_every_digit():
    table = thesis.printed("efficientnet_paper")
    assert table["flops_billions"].tolist()[3:5] == ["0.70", "11"]
    assert table["flops_ratio"].iloc[-1] == ""


def test_printed_ratios_follow_from_the_printed_numbers():
    """To the digits of both: the paper divided before it rounded."""
    table = thesis.efficientnet_paper().set_index("model")
    for column in ("params", "flops"):
        size = table[f"{column}_{'millions' if column == 'params' else 'billions'}"]
        head = size.reindex(table["baseline_of"].fillna("")).to_numpy()
        ratio = table[f"{column}_ratio"]
        assert (ratio[table["baseline_of"].isna()] == 1).all()
        off = ((size / head) / ratio - 1).abs().dropna()
        assert len(off) >= 15 and off.max() < 0.09


def test_identical_columns_of_the_prediction_matrix_name_each_other():
    table = thesis.prediction_matrix_runs().dropna(subset=["drawn_identical_to"])
    twins = {row.run: set(row.drawn_identical_to.split(";")) for row in table.itertuples()}
    assert all(run in twins[other] for run, others in twins.items() for other in others)


def test_a_missing_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(thesis, "FOLDER", tmp_path)
    thesis._cached.cache_clear()
    with pytest.raises(EffnetError, match=r"grid\.csv is missing"):
        thesis.grid()
    thesis._cached.cache_clear()
