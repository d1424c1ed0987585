"""`run(trial)`: train it, go on with it, or just give back what it left."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import nn

from effnet.augment import NORMALIZATIONS, Augment
from effnet.data import CarsDataModule
from effnet.errors import EffnetError, in_words
from effnet.files import CannotWrite, digest, locked, make_folder
from effnet.model import build_model
from effnet.paths import relative
from effnet.training import identity
from effnet.training.callbacks import EpochLines
from effnet.training.checkpoints import RunCheckpoint, made_by
from effnet.training.children import ProcessEnded, end_badly, told
from effnet.training.module import Classifier, NonFiniteLoss
from effnet.training.nodes import check_devices, node_place
from effnet.training.processes import Team
from effnet.training.record import mend, run_lock, write_record
from effnet.training.sharing import check_last_batch
from effnet.training.status import Status, finished
from effnet.training.trackers import Tracker, send
from effnet.training.tracking import EpochLogger
from effnet.training.trainer import fit, threads
from effnet.trial import EFFICIENTNET, Trial, check_tracker, resolve
from effnet.weights.load import freeze_pretrained, load_weights
from effnet.weights.published import fetch_weights

# Failures that are not the trial's: it may be tried again.
MACHINE = OSError | MemoryError | CannotWrite | ProcessEnded | torch.OutOfMemoryError


class TrialInterrupted(EffnetError):
    """Ctrl-C or SIGTERM ended a trial; the files of its last whole epoch are there."""


def run(
    trial: Trial,
    runs: Path | str = "reports/runs",
    name: str | None = None,
    group: str | None = None,
    tracker: str = "none",
    data: CarsDataModule | None = None,
    checkpoint: Path | None = None,
    callbacks: Sequence[pl.Callback] = (),
    keep_weights: bool = True,
) -> Path:
    """Train a trial below `runs` and return its folder.

    A finished trial is returned at once; an interrupted or killed one goes on after its last
    whole epoch and ends with the numbers of an uninterrupted run. Two processes that ask for the
    same trial do not train it twice: the second waits. `effnet.run` is this function with the
    demo's images and checkpoint made where a trial needs them (`effnet.demo.inputs`).

    Args:
        trial: the hyperparameters.
        runs: folder of run folders; relative paths start at the checkout.
        name: label in tables and figures; None takes the trial's id.
        group: label of the group in tables and figures; None takes the trial's own
            ("pretrained", "scratch_rgb", "scratch_gray" or "pretrained_frozen").
        tracker: "none", "tensorboard", "neptune", "mlflow" or "wandb", beside metrics.csv. One that
            fails ends no training; of a trial finished before it is sent what is there.
        data: the trial's own `data_module(trial)`, where the caller has it already.
        checkpoint: file of the trial's pretrained weights, where the caller has it already.
        callbacks: more of Lightning's, to watch the training.
        keep_weights: keep best.ckpt, 4 bytes a parameter, once the run is finished.

    A finished run whose files are gone or changed is made whole again, from last.ckpt where that is
    still there, else by training it anew. A folder that cannot be written can be read.

    Raises:
        EffnetError: missing or bad data, missing weights, a loss that is not finite
            (NonFiniteLoss), a full disk (CannotWrite), or Ctrl-C and SIGTERM (TrialInterrupted).
    """
    check_devices(trial)
    place = node_place(trial)
    check_tracker(tracker)
    data = data or data_module(trial)
    data.setup()
    check_last_batch(trial, len(data.split_rows("train")))
    checkpoint = checkpoint or checkpoint_path(trial)
    trial_id = identify(trial, data, checkpoint)
    folder = resolve(runs) / trial_id
    inputs = {"cache_dir": data.cache_dir and str(data.cache_dir)}
    inputs |= {"checkpoint": checkpoint and str(checkpoint)}
    team = Team(trial, folder, place, inputs)
    if finished(folder):  # without a lock: the folder may be another user's
        send(tracker, folder)
        return folder
    if team.node:
        with threads(trial):
            _train_along(team, data, checkpoint)
        return folder
    name = name or trial_id
    make_folder(folder)
    with locked(run_lock(folder), f"trial {name} is trained"):
        if finished(folder):  # by another process, meanwhile
            send(tracker, folder)
        else:
            mend(folder)
            write_record(folder, trial, name, group or trial.group, data)
            with threads(trial):
                _train(team, name, tracker, data, checkpoint, callbacks, keep_weights)
    return folder


def identify(trial: Trial, data: CarsDataModule, checkpoint: Path | None) -> str:
    """The id of a trial's run: of its values, its data (set up), its checkpoint and the code."""
    weights = digest(checkpoint) if checkpoint else None
    return trial.identity(data.data_hash, weights, identity.code_hash())


def data_module(trial: Trial) -> CarsDataModule:
    """The data that a trial sees, not yet set up."""
    return CarsDataModule(
        trial.path(),
        image_size=trial.side,
        in_channels=trial.in_channels,
        batch_size=trial.batch_size,
        seed=trial.seed,
        n_classes=trial.n_classes,
        max_per_class=trial.max_per_class,
        crop=trial.crop,
        crop_margin=trial.crop_margin,
        on_bad_image=trial.on_bad_image,
        holdout=trial.holdout if trial.validation == "holdout" else 0.0,
    )


def checkpoint_path(trial: Trial) -> Path | None:
    """The file of the trial's pretrained weights, fetched where it is missing; None from scratch.

    Raises EffnetError where it cannot be had, and for the demo's own, which the demo makes.
    """
    if trial.weights is None:
        return None
    if trial.weights == "demo":
        raise EffnetError(
            "weights is 'demo': the kit makes that checkpoint. Use effnet.run(trial), or pass "
            "checkpoint=effnet.demo.inputs.checkpoint_path(trial)."
        )
    if trial.weights in ("imagenet", "advprop"):
        suffix = "-advprop" if trial.weights == "advprop" else ""
        return fetch_weights(trial.model_name + suffix)
    return resolve(trial.weights)


def make_model(trial: Trial, num_classes: int, checkpoint: Path | None) -> nn.Module:
    """The trial's network with its pretrained weights, its classifier random."""
    own: dict[str, Any] = {name: getattr(trial, name) for name in EFFICIENTNET}
    model = build_model(
        trial.model_name,
        num_classes=num_classes,
        in_channels=trial.in_channels,
        dropout_rate=trial.dropout_rate,
        image_size=trial.image_size,
        **own,
    )
    if checkpoint is not None:
        follow = trial.batch_norm_eps is None
        try:
            report = load_weights(
                model, checkpoint, gray_stem=trial.gray_stem or "refuse", follow_eps=follow
            )
        except EffnetError as error:
            raise EffnetError(f"weights is {trial.weights!r}: {error}") from None
        if trial.freeze_pretrained_weights:
            freeze_pretrained(model, report)
    return model.to(memory_format=torch.channels_last) if trial.channels_last else model


def make_classifier(trial: Trial, num_classes: int, checkpoint: Path | None) -> Classifier:
    """Model, augmentation and loss in one LightningModule, seeded by the trial."""
    torch.manual_seed(trial.seed)
    assert trial.normalization is not None  # filled in
    mean, std = NORMALIZATIONS[trial.normalization, trial.in_channels]
    augment = Augment(mean, std, channels_last=trial.channels_last)
    classifier = Classifier(make_model(trial, num_classes, checkpoint), trial, augment)
    if trial.compile:
        classifier.model.compile()
    return classifier


def _train(
    team: Team,
    name: str,
    tracker: str,
    data: CarsDataModule,
    checkpoint: Path | None,
    callbacks: Sequence[pl.Callback],
    keep_weights: bool,
) -> None:
    """Train in process 0, which alone writes."""
    trial, folder = team.trial, team.folder
    status, logger = Status(folder, trial.epochs), EpochLogger(folder)
    other = Tracker(tracker, folder, name)
    try:
        with team:
            classifier = make_classifier(trial, data.num_classes, checkpoint)
            saver = RunCheckpoint(folder, logger, status, made_by(trial, folder.name))
            state = saver.resume()
            status.write("running", len(logger.rows))
            other.begin(trial.values(), logger.rows)
            with status.beating():
                team.begin(len(logger.rows) if state else 0)
                lines = [EpochLines(name, trial.epochs), other, *callbacks]
                fit(team, data, classifier, saver, state, lines)
            other.end(finished=True)
            status.write("finished", len(logger.rows), weights=keep_weights)
    except KeyboardInterrupt:
        where = f"stopped by a signal after {logger.whole} of {trial.epochs} epochs"
        status.write("interrupted", logger.whole, where)
        raise TrialInterrupted(
            f"trial {name} {where}. To go on from there, run the same cell or command again; the "
            f"run is in {relative(folder)}."
        ) from None
    except NonFiniteLoss as error:
        status.write("failed", len(logger.rows), str(error))
        raise NonFiniteLoss(f"trial {name}: {error} It is marked as failed.") from None
    except Exception as error:
        machine = isinstance(error, MACHINE)
        status.write("failed", len(logger.rows), in_words(error), system=machine)
        raise
    finally:
        other.end(finished=False)  # nothing, where it was ended
    for name in ("last.ckpt",) if keep_weights else ("last.ckpt", "best.ckpt"):
        (folder / name).unlink(missing_ok=True)


def _train_along(team: Team, data: CarsDataModule, checkpoint: Path | None) -> None:
    """Train in another process than 0, until that one has written what the run leaves."""
    trial, folder = team.trial, team.folder
    try:
        with team:
            epochs = team.begun()
            if epochs is None:
                return
            classifier = make_classifier(trial, data.num_classes, checkpoint)
            status, made = Status(folder, trial.epochs), made_by(trial, folder.name)
            saver = RunCheckpoint(folder, EpochLogger(folder), status, made)
            fit(team, data, classifier, saver, saver.follow(epochs), [])
    except KeyboardInterrupt:
        raise TrialInterrupted(
            f"process {team.rank} of run {folder.name} was stopped by a signal. To go on after the "
            "last whole epoch, run the same command on every node again."
        ) from None


def follow() -> None:
    """What `effnet.training.processes` starts: one more process of a run."""
    try:
        inputs = told()
        trial = Trial(**inputs["trial"])
        data = data_module(trial)
        data.cache_dir = inputs["cache_dir"]
        data.setup()
        checkpoint = inputs["checkpoint"] and Path(inputs["checkpoint"])
        folder = Path(inputs["runs"]) / identify(trial, data, checkpoint)
        with threads(trial):
            _train_along(Team(trial, folder, inputs["place"]), data, checkpoint)
    except Exception as error:
        end_badly(error)
