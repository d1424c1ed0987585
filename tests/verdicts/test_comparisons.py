"""What a part of Stanford Cars can decide: directions, which wrong runs turn."""

import pytest
from fake_runs import fake_profile_json, fake_run

from effnet.runs import load_runs
from effnet.verdicts.claims import judge
from effnet.verdicts.comparisons import findings
from effnet.verdicts.finding import (
    NEEDS_REAL_DATA,
    OPPOSITE_DIRECTION,
    SAME_DIRECTION,
    WITHIN_SPREAD,
)
from effnet.verdicts.summary import headline
from effnet.verdicts.trained import Trained

# Accuracy of each group's repeated setting; what a value of dropout or decay adds to it.
AS_THE_THESIS = {
    "pretrained": 0.60, "scratch_lite": 0.30, "scratch_rgb": 0.28, "scratch_gray": 0.33,
    "pretrained_frozen": 0.20, "pretrained dropout": 0.001, "pretrained decay": 0.001,
    "rgb dropout": -0.2, "rgb decay": 0.2,
}  # fmt: skip


def curve(best: float, drop: int | None = 16, fast: bool = True, epochs: int = 24) -> list[float]:
    """A validation curve that saturates, and steps up where the rate drops."""
    start = 0.9 if fast else 0.2
    values = [best * (start + (1 - start) * min(1, e / 12)) for e in range(epochs)]
    if drop is not None:
        values = [v * (0.9 if e < drop else 1.0) for e, v in enumerate(values)]
    return values


def runs_like(reports, world: dict[str, float], gray_gap: float = -0.3):
    """A laptop's profile of made-up runs: five groups, three seeds of one setting of each."""
    small = {"image_size": 64, "images": (96, 96), "classes": 8, "epochs": 24}
    for group, model in (
        ("pretrained", "lite0"), ("scratch_lite", "lite0"), ("scratch_rgb", "b0"),
        ("scratch_gray", "b0"), ("pretrained_frozen", "lite0"),
    ):  # fmt: skip
        step = -0.006 if group == "scratch_gray" else 0.006
        settings = [(0.2, 0.1, seed, world[group] + step * (seed - 1)) for seed in range(3)]
        kind = {"pretrained": "pretrained", "scratch_rgb": "rgb"}.get(group)
        if kind:
            settings += [(0.5, 0.1, 0, world[group] + world[f"{kind} dropout"])]
            settings += [(0.2, 0.3, 0, world[group] + world[f"{kind} decay"])]
        for rate, decay, seed, accuracy in settings:
            again = f" seed {seed}" if seed else ""
            fake_run(
                reports, f"{group} p={rate} wd={decay}{again}", group, accuracy, model_name=model,
                dropout_rate=rate, weight_decay=decay, seed=seed, lr_drops=(16,), hard_class=3,
                val_acc=curve(accuracy), weights="imagenet" if "pretrained" in group else None,
                in_channels=1 if group == "scratch_gray" else 3, **small,
            )  # fmt: skip
    fake_profile_json(reports, "Stanford Cars", 6_509, 196)
    return reports


def judged(reports) -> dict[str, str]:
    trained = Trained(load_runs(reports, states=("finished",)), False, "a part")
    return {claim: finding.verdict for claim, finding in findings(trained).items()}


def test_runs_like_the_thesis_s_point_its_way(tmp_path):
    reports = runs_like(tmp_path / "laptop", AS_THE_THESIS)
    found = judged(reports)
    same = {"C070", "C078", "C079", "C081", "C082", "C087", "C099", "C100", "C110", "C117"}
    assert {claim for claim, verdict in found.items() if verdict == SAME_DIRECTION} >= same
    table = judge(reports).set_index("id")
    assert (
        table.at["C078", "got"].startswith("+30.00 pp (")
        and "3 and 3 seeds" in (table.at["C078", "reason"])
    )
    assert "b0, lite0 at 64 px" in table.at["C078", "reason"]
    # Plain numbers say nothing, with what came out here beside them.
    assert table.at["C071", "verdict"] == NEEDS_REAL_DATA and table.at["C071", "got"] == ""
    assert "0.6010" in table.at["C071", "found"] or "0.60" in table.at["C071", "found"]
    assert "same direction" in headline(judge(reports), "6509 images of 196 classes")[0]


@pytest.mark.parametrize(
    "change, turned, verdict",
    [
        ({"pretrained": 0.10}, ["C078", "C079"], OPPOSITE_DIRECTION),
        ({"pretrained": 0.303}, ["C079"], OPPOSITE_DIRECTION),
        ({"pretrained": 0.303}, ["C078"], WITHIN_SPREAD),
        ({"scratch_gray": 0.20}, ["C110"], OPPOSITE_DIRECTION),
        ({"scratch_gray": 0.281}, ["C110"], WITHIN_SPREAD),
        ({"pretrained_frozen": 0.70}, ["C087"], OPPOSITE_DIRECTION),
        ({"pretrained dropout": -0.3}, ["C081"], OPPOSITE_DIRECTION),
        ({"pretrained decay": -0.3}, ["C082"], OPPOSITE_DIRECTION),
        ({"rgb dropout": 0.001}, ["C100"], WITHIN_SPREAD),
        ({"rgb decay": 0.001}, ["C099"], WITHIN_SPREAD),
    ],
    ids=str,
)
def test_other_runs_turn_them(tmp_path, change, turned, verdict):
    found = judged(runs_like(tmp_path / "laptop", AS_THE_THESIS | change))
    assert {claim: found[claim] for claim in turned} == dict.fromkeys(turned, verdict)


def test_a_single_seed_and_other_data_decide_no_direction(tmp_path):
    reports = runs_like(tmp_path / "laptop", AS_THE_THESIS)
    runs = load_runs(reports, states=("finished",))
    once = Trained(runs[runs["seed"] == 0], False, "a part")
    assert set(findings(once)) <= {"C070", "C117"}
    fake_profile_json(reports, "other images", 6_509, 196)
    assert judge(reports).set_index("id").at["C078", "verdict"] == NEEDS_REAL_DATA
