"""Claims about the training script (sections 5.5, 5.6), read from what the kit builds for it.

The printed script is the run SAN-474 of the profile `thesis`. Its optimizer and scheduler are
built here as a training would build them, and asked for their settings.
"""

import inspect
import platform

import torch

from effnet import thesis
from effnet.errors import EffnetError
from effnet.grid.profiles import Profile
from effnet.model import SCALES
from effnet.train import make_classifier
from effnet.training.module import Classifier
from effnet.trial import Trial
from effnet.verdicts.finding import EXACT, SETTING, Finding, cannot_be_checked, close, holds, same

SCRIPT = "SAN-474"
BEST = ("SAN-396", "SAN-448", "SAN-437")  # the listed runs: pretrained, RGB, grayscale


def script_trial() -> tuple[Trial, Profile]:
    """The trial that stands for the thesis's printed script, and the profile that holds it."""
    profile = Profile.load("thesis")
    for job in profile.jobs:
        if job.name == SCRIPT:
            return job.trial, profile
    raise EffnetError(f"profile thesis has no run called {SCRIPT}, the thesis's printed script.")


def script_classifier(trial: Trial, classes: int) -> Classifier:
    """The classifier of a trial as training builds it, without its pretrained weights."""
    with torch.random.fork_rng():
        return make_classifier(trial, classes, None)


def findings(
    expected: dict[str, str],
    classifier: Classifier,
    trial: Trial,
    profile: Profile,
    devices: list[str],
) -> dict[str, Finding]:
    """Findings by claim id; `devices` are those that this report's runs were trained on."""
    optimizer = classifier.configure_optimizers()
    return {
        **_script(expected, trial, profile, devices),
        **_optimizer(expected, optimizer),
        **_scheduler(expected, classifier.scheduler, trial, profile),
        "C025": same(classifier.loss.reduction, expected["C025"], SETTING),
        "C026": same(trial.image_size, int(expected["C026"]), SETTING, "Resized once, then cached"),
        "X18": _script_is_none(trial),
        "C022": same(
            platform.python_version(),
            expected["C022"],
            "any newer Python trains the same network",
            "This report's Python; 3.8 gets no fixes any more and today's torch does not run on it",
        ),
        "C023": cannot_be_checked("Neptune's hosted service is closed; figure 14 shows 16 rows"),
    }


def _devices(names: list[str]) -> str:
    return f"runs here used {', '.join(names)}" if names else "no run here"


def _script(
    expected: dict[str, str], trial: Trial, profile: Profile, devices: list[str]
) -> dict[str, Finding]:
    batches = [job.trial.batch_size for job in profile.jobs]
    sizes = ", ".join(f"{batches.count(size)} with {size}" for size in sorted(set(batches)))
    classes = len(set(thesis.annotations()["class_id"]))
    network_default = SCALES[trial.model_name].dropout_rate
    default = trial.dropout_rate == network_default
    return {
        "C050": close(
            trial.early_stopping_min_delta,
            expected["C050"],
            0.0,
            SETTING,
            "Absolute, on the validation loss with its label smoothing",
            digits=None,
        ),
        "C051": same(trial.early_stopping_patience, int(expected["C051"]), SETTING),
        "C052": same(trial.epochs, int(expected["C052"]), SETTING),
        "C053": same(
            trial.batch_size,
            int(expected["C053"]),
            SETTING,
            f"The script's and the later grids'; the runs of profile thesis train {sizes}",
        ),
        "C058": same(
            "not set" if default else "set",
            expected["C058"],
            SETTING,
            f"Left to the network: {trial.dropout_rate} for {trial.model_name}",
        ),
        "C059": same(classes, int(expected["C059"]), SETTING, "From the annotations"),
        "C060": same(trial.in_channels, int(expected["C060"]), SETTING),
        "C061": same(
            str(trial.weights is not None), expected["C061"], SETTING, f"weights={trial.weights!r}"
        ),
        "C062": same(
            str(trial.weights == "advprop"),
            expected["C062"],
            SETTING,
            f"weights={trial.weights!r}",
        ),
        "C063": same(str(trial.freeze_pretrained_weights), expected["C063"], SETTING),
        "C064": same(f"efficientnet-{trial.model_name}", expected["C064"], SETTING),
        "C065": cannot_be_checked(f"The author's machine; {_devices(devices)}"),
    }


def _optimizer(expected: dict[str, str], optimizer: torch.optim.Optimizer) -> dict[str, Finding]:
    group = optimizer.param_groups[0]
    kind = type(optimizer)
    default = inspect.signature(kind).parameters["weight_decay"].default
    unset = "not set" if group["weight_decay"] == default else "set"
    decay = f"{kind.__name__}'s default, {group['weight_decay']}"
    return {
        "C054": close(
            group["lr"],
            expected["C054"],
            0.0,
            SETTING,
            "The script's; four runs had less (X20)",
            None,
        ),
        "C055": same(kind.__name__, expected["C055"], SETTING),
        "C056": same(unset, expected["C056"], SETTING, f"Left at {decay}"),
    }


def _scheduler(
    expected: dict[str, str],
    scheduler: torch.optim.lr_scheduler.ReduceLROnPlateau,
    trial: Trial,
    profile: Profile,
) -> dict[str, Finding]:
    kind = type(scheduler)
    default = inspect.signature(kind).parameters["threshold"].default
    patiences = sorted({job.trial.lr_patience for job in profile.jobs})
    counts = [job.trial.lr_patience for job in profile.jobs]
    found = ", ".join(f"{counts.count(p)} runs with {p}" for p in patiences)
    text = f"Profile thesis: {found}"

    # One fact, which a claim and a contradiction state: both show this finding.
    threshold = holds(
        default != float(expected["X06"]) and scheduler.threshold == default,
        f"{default:g}",
        "not the stated value",
        "read from torch",
        f"The original never set it: {kind.__name__}'s default is {default:g} (relative), "
        f"which the kit keeps; {trial.early_stopping_min_delta:g} is the early stopping's (X33)",
    )

    def tried(claim: str) -> Finding:
        patience = int(expected[claim])
        return holds(
            patience in patiences, "; ".join(map(str, patiences)), "among them", SETTING, text
        )

    return {
        "C057": same(scheduler.patience, int(expected["C057"]), SETTING),
        "C066": close(
            scheduler.factor, expected["C066"], 0.0, SETTING, "Four runs had less (X20)", None
        ),
        "C067": tried("C067"),
        "C068": tried("C068"),
        "C069": threshold,
        "X06": threshold,
    }


def _script_is_none(script: Trial) -> Finding:
    grid = thesis.grid().set_index("run")
    fields = ("dropout_rate", "weight_decay", "lr_patience")
    differences = []
    for name in BEST:
        row = grid.loc[name]
        names = [f for f in fields if getattr(script, f) != row[f]]
        differences.append(f"{name}: {', '.join(names) or 'nothing'}")
    different = all(not text.endswith("nothing") for text in differences)
    found = f"The script differs from {'; '.join(differences)}"
    return holds(different, "not set; not set", EXACT, "settings beside the listings", found)
