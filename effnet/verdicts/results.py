"""Claims about single runs and the best run of each group (sections 5.4, 5.6 and 6)."""

from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from effnet.plots.groups import siblings
from effnet.plots.listing import lr_drops
from effnet.runs import metrics
from effnet.verdicts.finding import (
    CANNOT_BE_CHECKED,
    DIFFERS,
    EXACT,
    REPRODUCED,
    WITHIN_SPREAD,
    Finding,
    close,
    holds,
    show,
)
from effnet.verdicts.trained import ACCURACY, NotTrained, Trained, judge_trained

# First claim of the listing of a group's best run; the others follow in this order (section 6).
LISTINGS = {"pretrained": 71, "scratch_rgb": 91, "scratch_gray": 102}
TRAINING = "max_train_acc_batch_mean"
SETTINGS = ("dropout_rate", "weight_decay", "lr_patience", "initial_lr", "in_channels")
FROZEN = {
    "C087": ("val_acc_batch_mean", 0.03),
    "C088": ("train_acc_batch_mean", 0.03),
    "C089": ("val_loss_batch_mean", 0.15),
    "C090": ("train_loss_batch_mean", 0.15),
}
FROZEN_REASON = "read from a picture, its settings inferred; no like run tells its scatter"


def findings(expected: dict[str, str], trained: Trained) -> dict[str, Finding]:
    """Findings by claim id."""
    judges: dict[str, Callable[..., Finding]] = {
        "C045": lambda: _single(expected["C045"], trained, "SAN-319"),
        "C046": lambda: _single(expected["C046"], trained, "SAN-474"),
        "C049": lambda: _best_gray(expected["C049"], trained),
        "C070": lambda: _drops(expected["C070"], trained.named("SAN-459")),
        "C078": lambda: _pretrained_gain(expected["C078"], trained),
        "C079": lambda: _reaches(0.8, int(expected["C079"]), trained.best("pretrained")),
        "C080": lambda: _drops(expected["C080"], trained.best("pretrained")),
        "C098": lambda: _drops(expected["C098"], trained.best("scratch_rgb")),
        "C109": lambda: _drops(expected["C109"], trained.best("scratch_gray")),
        "C110": lambda: _gray_gain(expected["C110"], trained),
        "C114": lambda: _first_drops(trained),
        "C115": lambda: _gaps(trained),
    }
    for claim, (column, tolerance) in FROZEN.items():
        judges[claim] = lambda c=claim, k=column, t=tolerance: _frozen(expected[c], trained, k, t)
    for group, first in LISTINGS.items():
        ids = [f"C{first + i:03d}" for i in range(7)]
        judges[ids[0]] = lambda i=ids[0], g=group: _listed(expected[i], trained, g, ACCURACY)
        judges[ids[1]] = lambda i=ids[1], g=group: _listed(expected[i], trained, g, TRAINING)
        for claim, field in zip(ids[2:], SETTINGS, strict=True):
            judges[claim] = lambda i=claim, g=group, f=field: _setting(expected[i], trained, g, f)
    return judge_trained(trained, judges)


def _single(expected: str, trained: Trained, name: str) -> Finding:
    """A run beside a published one of its setting; over all seeds of it where there are several."""
    run = trained.named(name)
    seeds = siblings(trained.runs, run)[ACCURACY]
    limit, reason = trained.tolerance("pretrained_single", (len(seeds), 1))
    found = f"Mean of {len(seeds)} seeds" if len(seeds) > 1 else _per_sample(run)
    reason += "; its settings are not fully known"
    return close(100 * seeds.mean(), expected, 100 * limit, reason, found, digits=2)


def _best_gray(expected: str, trained: Trained) -> Finding:
    run = trained.best("scratch_gray")
    limit, reason = trained.tolerance("scratch_gray")
    found = f"{run['name']}, {_per_sample(run)}"
    return close(100 * run[ACCURACY], expected, 100 * limit, reason, found, digits=2)


def _listed(expected: str, trained: Trained, group: str, column: str) -> Finding:
    run = trained.best(group)
    limit, reason = trained.tolerance(group)
    found = f"{run['name']} is the best of {len(trained.grid(group))}"
    if column == ACCURACY:
        found += f"; {_per_sample(run)}"
    else:
        reason += "; of validation accuracies, which scatter more than training's"
    return close(run[column], expected, limit, reason, found)


def _setting(expected: str, trained: Trained, group: str, field: str) -> Finding:
    """The best run's setting; another winner by less than runs scatter decides nothing."""
    runs, best = trained.grid(group), trained.best(group)
    if pd.isna(best[field]):
        return Finding(CANNOT_BE_CHECKED, "none", found=f"{best['model_name']} has no {field}")
    value, wanted = float(best[field]), float(expected)
    tried = ", ".join(f"{v:g}" for v in sorted(runs[field].unique()))
    finding = Finding(REPRODUCED, f"{value:g}", EXACT, "a setting", f"{best['name']}; {tried} ran")
    if value == wanted:
        return finding
    rivals = runs[runs[field] == wanted]
    if rivals.empty:
        return replace(finding, verdict=DIFFERS)
    lead = best[ACCURACY] - rivals[ACCURACY].max()
    found = f"{best['name']} leads the best run with {wanted:g} by {lead:.4f}"
    finding = replace(finding, verdict=DIFFERS, found=found)
    return unless_scattered(finding, lead, trained, group)


def _drops(expected: str, run: pd.Series) -> Finding:
    published = [int(epoch) for epoch in expected.split(";")]
    ours = lr_drops(metrics(run))
    near = len(ours) == len(published) and all(
        abs(a - b) <= _drop_tolerance(b) for a, b in zip(ours, published, strict=True)
    )
    limits = "; ".join(f"±{_drop_tolerance(epoch)}" for epoch in published)
    return holds(
        near,
        "; ".join(map(str, ours)) or "none",
        limits,
        "a plateau begins where noise sets the last best epoch: a fifth, at least 8 epochs",
        f"{run['name']}, last epoch {int(run['last_epoch'])} (from 0)",
    )


def _drop_tolerance(epoch: int) -> int:
    return max(8, round(epoch / 5))


def _reaches(accuracy: float, before: int, run: pd.Series) -> Finding:
    history = metrics(run)
    reached = history.loc[history["val_acc_batch_mean"] >= accuracy, "epoch"]
    first = int(reached.iloc[0]) if len(reached) else None
    got = f"epoch {first}" if first is not None else "never"
    holding = first is not None and first < before
    found = f"{run['name']}, epochs counted from 0; the published curve crosses at epoch 5"
    return holds(holding, got, f"before {before}", f"first epoch at {accuracy:.0%}", found)


def _pretrained_gain(expected: str, trained: Trained) -> Finding:
    best = {group: trained.best(group)[ACCURACY] for group in LISTINGS}
    gains = {g: 100 * (best["pretrained"] - best[g]) for g in ("scratch_gray", "scratch_rgb")}
    got = f"{gains['scratch_gray']:.2f} (grayscale), {gains['scratch_rgb']:.2f} (RGB)"
    near = all(abs(gain - float(expected)) <= 3 for gain in gains.values())
    reason = "'about'; the thesis's own listings give 9.06 and 11.34"
    finding = holds(near, got, "±3", reason, "Best runs of each group")
    low = min(gains, key=lambda group: gains[group])
    return unless_scattered(finding, gains[low] / 100, trained, "pretrained", low)


def _gray_gain(expected: str, trained: Trained) -> Finding:
    gain = trained.best("scratch_gray")[ACCURACY] - trained.best("scratch_rgb")[ACCURACY]
    limit, reason = trained.noise("scratch_gray", "scratch_rgb")
    finding = close(100 * gain, expected, 100 * limit, f"grayscale is ahead; {reason}", digits=2)
    if gain <= 0 and finding.verdict == REPRODUCED:
        finding = replace(finding, verdict=DIFFERS, found="RGB is ahead")
    return unless_scattered(finding, gain, trained, "scratch_gray", "scratch_rgb")


def unless_scattered(
    finding: Finding, difference: float, trained: Trained, *groups: str
) -> Finding:
    """A difference no larger than what chance makes of two runs orders nothing."""
    half, words = trained.noise(*groups)
    if abs(difference) > half:
        return finding
    found = "; ".join(part for part in (finding.found, f"the order is open: {words}") if part)
    return replace(finding, verdict=WITHIN_SPREAD, found=found)


def _first_drops(trained: Trained) -> Finding:
    runs = [trained.best("scratch_rgb"), trained.best("scratch_gray")]
    first = [next(iter(lr_drops(metrics(run))), None) for run in runs]
    got = "; ".join("none" if epoch is None else str(epoch) for epoch in first)
    known = [epoch for epoch in first if epoch is not None]
    near = len(known) == 2 and abs(known[0] - known[1]) <= 8
    names = " and ".join(run["name"] for run in runs)
    return holds(near, got, "8 epochs apart", "'almost the same moment': one patience", names)


def _gaps(trained: Trained, epoch: int = 20) -> Finding:
    gaps, names = [], []
    for group in ("scratch_rgb", "scratch_gray"):
        run = trained.best(group)
        history = metrics(run).set_index("epoch")
        if epoch not in history.index:
            raise NotTrained(f"run {run['name']} ends before epoch {epoch}")
        row = history.loc[epoch]
        gaps.append(row["val_loss_batch_mean"] - row["train_loss_batch_mean"])
        names.append(run["name"])
    return holds(
        gaps[1] < gaps[0],
        "; ".join(show(gap, 2) for gap in gaps),
        "grayscale's is smaller",
        "the thesis claims the order and gives no number",
        " and ".join(names),
    )


def _frozen(expected: str, trained: Trained, column: str, tolerance: float) -> Finding:
    runs = trained.runs
    runs = runs[runs["group"] == "pretrained_frozen"] if len(runs) else runs
    if runs.empty:
        raise NotTrained("no finished run with frozen layers")
    last = metrics(runs.iloc[0]).iloc[-1]
    found = f"{runs.iloc[0]['name']}, last epoch {int(last['epoch'])} (from 0)"
    return close(float(last[column]), expected, tolerance, FROZEN_REASON, found, digits=3)


def _per_sample(run: pd.Series) -> str:
    return f"per sample {run['max_val_acc']:.4f}"
