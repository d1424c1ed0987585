"""Findings about the thesis, recomputed from its published numbers, which wrong numbers turn."""

import pytest

from effnet import thesis
from effnet.verdicts import confounding, contradictions
from effnet.verdicts.finding import DIFFERS, REPRODUCED

CLAIMS = thesis.claims()
EXPECTED = dict(zip(CLAIMS["id"], CLAIMS["value"], strict=True))
EXACT = {row.id: row.exact or row.value for row in CLAIMS.itertuples()}


PLANTED = {
    "X20": ("histories", {"lr": lambda lr: lr.replace(1e-4, 1e-3)}),
    "X21": ("grid", {"initial_lr": lambda lr: lr.replace(1e-4, 1e-3)}),
    "X22": ("grid", {"batch_size": lambda size: size.replace(96, 32)}),
    "X23": ("grid", {"lr_patience": lambda patience: patience.replace(7, 3)}),
    "X24": ("grid", {"batch_size": lambda size: size.replace(96, 48)}),
    "X25": ("grid", {"published_max_val_acc": lambda v: v.replace(0.796682, 0.756682)}),
    "X26": ("grid", {"weight_decay": lambda decay: decay * 1.1}),
    "X27": ("grid", {"published_max_train_acc": lambda v: v.where(v > 0.2, 0.9)}),
    "X28": ("grid", {"published_max_val_acc": lambda v: v + 0.001}),
    "X29": ("published_runs", {"max_val_acc": lambda v: v.replace(0.731757, 0.85)}),
    "X30": ("prediction_matrix_runs", {"run": lambda run: run.iloc[:-1]}),
    "X31": ("grid", {"published_max_val_acc": lambda v: v.replace(0.896134, 0.886134)}),
    "X32": ("grid", {"published_max_val_acc": lambda v: v.replace(0.892237, 0.862237)}),
    "X33": ("histories", {"val_loss": lambda loss: loss + 0.01 * (loss.index % 2)}),
    "X34": ("histories", {"val_acc": lambda v: v.replace(0.525835, 0.53)}),
    "X35": ("grid", {"published_max_val_acc": lambda v: v.replace(0.537492, 0.6)}),
}


@pytest.mark.parametrize("claim", PLANTED)
def test_wrong_published_runs_turn_their_finding(claim, monkeypatch):
    assert confounding.findings(EXPECTED)[claim].verdict == REPRODUCED
    name, changes = PLANTED[claim]
    table = getattr(thesis, name)()
    for column, change in changes.items():
        table[column] = change(table[column])
    table = (
        table.dropna(subset=[next(iter(changes))]) if name == "prediction_matrix_runs" else table
    )
    monkeypatch.setattr(thesis, name, table.copy)
    assert confounding.findings(EXPECTED)[claim].verdict == DIFFERS


def test_a_changed_published_mean_or_batch_turns_its_finding(monkeypatch):
    whole = contradictions.findings(EXPECTED, EXACT)
    assert {finding.verdict for finding in whole.values()} == {REPRODUCED}
    heat, runs = thesis.heatmaps_exact(), thesis.published_runs()
    heat.loc[heat["figure"] == 24, "max_val_acc_mean"] = [0.9 - 0.1 * i for i in range(8)]
    runs["dashboard_val_acc_max"] += 3e-6
    monkeypatch.setattr(thesis, "heatmaps_exact", heat.copy)
    monkeypatch.setattr(thesis, "published_runs", runs.copy)
    found = contradictions.findings(EXPECTED, EXACT)
    assert {c for c, f in found.items() if f.verdict == DIFFERS} == {"X08", "X16"}
