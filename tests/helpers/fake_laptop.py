"""A made-up profile `laptop`: groups of runs with a few seeds of one setting, for tests only."""

from pathlib import Path

from fake_runs import fake_profile_json, fake_run

# Accuracy of each group's repeated setting; what a value of dropout or decay adds to it.
AS_THE_THESIS = {
    "pretrained": 0.60, "scratch_lite": 0.30, "scratch_rgb": 0.28, "scratch_gray": 0.33,
    "pretrained_frozen": 0.20, "pretrained dropout": 0.001, "pretrained decay": 0.001,
    "rgb dropout": -0.2, "rgb decay": 0.2, "whole pretrained": 0.45, "whole scratch_rgb": 0.22,
}  # fmt: skip
SMALL = {"image_size": 64, "images": (96, 96), "classes": 8, "epochs": 24}


def curve(best: float, drop: int | None = 16, fast: bool = True, epochs: int = 24) -> list[float]:
    """A validation curve that saturates, and steps up where the rate drops."""
    start = 0.9 if fast else 0.2
    values = [best * (start + (1 - start) * min(1, e / 12)) for e in range(epochs)]
    if drop is not None:
        values = [v * (0.9 if e < drop else 1.0) for e, v in enumerate(values)]
    return values


def fake_laptop(reports: Path, world: dict[str, float], whole: bool = False) -> Path:
    """Five groups with three seeds of one setting of each; `whole` adds the uncropped ones, two
    seeds each. `world` as `AS_THE_THESIS`. Returns `reports`.
    """
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
                in_channels=1 if group == "scratch_gray" else 3, **SMALL,
            )  # fmt: skip
    for like, model in (("pretrained", "lite0"), ("scratch_rgb", "b0")) if whole else ():
        for seed in range(2):
            accuracy = world[f"whole {like}"] + 0.006 * seed
            fake_run(
                reports, f"whole {like} seed {seed}", "whole_photographs", accuracy, seed=seed,
                model_name=model, data_dir="data/frames", dropout_rate=0.2, weight_decay=0.1,
                val_acc=curve(accuracy), lr_drops=(16,),
                weights="imagenet" if like == "pretrained" else None, **SMALL,
            )  # fmt: skip
    fake_profile_json(reports, "Stanford Cars", 6_509, 196)
    return reports
