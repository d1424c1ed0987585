"""The grid on Ray: a task per trial, on this machine or on a cluster (ENGINE=ray).

Ray hands out the trials and takes them up again on another node where one is killed; how a trial
is trained, and what is left of it, is the kit's own (`effnet.train.run`), so that the results are
those of the grid on one machine.
"""

import os
import time
from collections import deque
from typing import Any

from effnet.demo.pretrain import same_checkpoint
from effnet.files import atomic_write
from effnet.grid import node
from effnet.grid.board import Display, Row
from effnet.grid.lease import only_driver
from effnet.grid.node import Order
from effnet.grid.profiles import Profile
from effnet.grid.storage import Storage, StorageFailed
from effnet.grid.tasks import connected, drive, require_ray, share, start_board
from effnet.grid.train import Entry, Grid
from effnet.paths import DATA
from effnet.training import identity
from effnet.training.status import now

TRIES = 3  # of a trial whose node fails without being killed: a full disk, a storage out of reach


def train_grid(profile: Profile, retry: bool = False) -> list[dict[str, Any]]:
    """`effnet.grid.train.train_grid` on Ray; returns the entries of grid.json.

    RAY_ADDRESS names a cluster (none: one is started on this machine), STORAGE where runs travel if
    the nodes do not share this folder, CPUS_PER_TRIAL and TRIALS_PER_GPU a trial's share of a
    machine. A node that is killed costs the epochs that it was training: its trials go on on
    another. Ctrl-C stops after the epoch under way, a second one at once.

    Raises EffnetError without Ray, where no trial can be begun, and where another driver is at it;
    KeyboardInterrupt after Ctrl-C.
    """
    require_ray()
    start, began = time.perf_counter(), now()
    url = os.environ.get("STORAGE")
    storage = Storage(url, profile.name) if url else None
    with only_driver(profile.reports, storage):
        grid = Grid(profile, 1, began, retry)
        if storage:
            ended = storage.ended()
            for entry in grid.todo():
                if entry.folder and entry.folder.name in ended:
                    storage.load(entry.folder, ends=True)
        todo = grid.todo()
        print(grid.overview(todo), flush=True)
        entries = grid.write(0)
        if todo:
            try:
                with connected():
                    _train(grid, todo, storage)
            finally:
                entries = grid.write(time.perf_counter() - start)
        return entries


def _train(grid: Grid, todo: list[Entry], storage: Storage | None) -> None:
    """Hand out the trials, and take note of how they end."""
    import ray

    rows, shares = {}, {}
    known: dict[Any, dict[str, float]] = {}
    for entry in todo:
        job = entry.job
        size = job.trial.threads, job.trial.devices, job.trial.num_nodes
        if size not in known:
            known[size] = share(job.trial)
        shares[entry.number] = known[size]
        images = len(grid.module(job).split_rows("train"))
        rows[entry.number] = Row(job.name, job.trial.epochs, images)
    train = ray.remote(max_retries=-1)(node.train)
    make_weights = ray.remote(max_retries=-1)(node.make_weights)
    made: dict[Any, Any] = {}

    def weights(entry: Entry) -> Any:
        """The entry's checkpoint where all nodes reach it, one for all that begin with it."""
        if entry.job.trial.weights is None:
            return None
        key = entry.checkpoint or same_checkpoint(entry.job.trial)
        if key not in made:
            if path := entry.checkpoint:
                made[key] = ray.put((path.name, path.read_bytes()))
            else:
                made[key] = make_weights.options(**shares[entry.number]).remote(entry.job.trial)
        return made[key]

    def submit(entry: Entry) -> Any:
        order = Order(
            number=entry.number,
            job=entry.job,
            trial_id=entry.folder.name if entry.folder else None,
            code_hash=identity.code_hash(),
            profile=grid.profile.name,
            runs=grid.runs,
            storage=storage.url if storage else None,
            data_url=os.environ.get("DATA_URL"),
        )
        options = shares[entry.number] | {"name": entry.job.name}
        return train.options(**options).remote(order, weights(entry), board)

    board = start_board()
    # The demo's checkpoint is made while those that need none are trained.
    waiting = deque(sorted(todo, key=lambda entry: entry.folder is None))
    if first := [entry for entry in waiting if entry.folder is None]:
        weights(first[0])
    tries = dict.fromkeys(rows, 0)
    for entry, outcome in drive(waiting, submit, board, Display(rows)):
        tries[entry.number] += 1
        if outcome.state == "failed" and outcome.system and tries[entry.number] < TRIES:
            waiting.append(entry)
            continue
        entry.message = outcome.message
        if outcome.trial_id and entry.folder is None:
            entry.folder = grid.runs / outcome.trial_id
            _keep(*ray.get(weights(entry)))
        if storage and entry.folder and outcome.state in ("finished", "failed"):
            try:
                storage.load(entry.folder, ends=True)
            except StorageFailed as error:  # it stays there, for the next command
                entry.message = str(error)


def _keep(name: str, content: bytes) -> None:
    """The demo's checkpoint that a node made, for the next time."""
    if not (path := DATA / "weights" / name).exists():
        with atomic_write(path) as new:
            new.write_bytes(content)
