"""The processes of a run on several devices: how they find each other, and how they end.

Process 0 is the caller's own. It decides and writes; the others train along. It starts those of
its machine (`children`), which begin in `effnet.train.follow`. On another node it is the command
called there that takes part, and starts those of that machine.
"""

import json
import threading
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from textwrap import shorten
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning.utilities import rank_zero_only

from effnet.errors import EffnetError
from effnet.training.children import Child, ProcessEnded, connection_lost
from effnet.training.nodes import Place, find_process_0
from effnet.trial import Trial

WAIT = timedelta(minutes=30)  # for others: a slow disk, a compiler, a node that is started later
LEAVING = 10.0  # seconds that others have to end by themselves
GO_ON = "The same cell or command goes on after the last whole epoch."


class Team:
    """The processes of one run, as one of them sees them; in a `with` they train together.

    share: (rank, world), which process this is and of how many. With one in all nothing is
    started, and every call returns at once.

    Args:
        trial, folder: what is trained, and the folder of its run.
        place: of this process.
        inputs: what `follow` needs beside the trial, as JSON; for who starts processes.
    """

    store: dist.TCPStore | None = None

    def __init__(
        self, trial: Trial, folder: Path, place: Place, inputs: dict[str, Any] | None = None
    ) -> None:
        self.trial, self.folder, self.inputs = trial, folder, inputs or {}
        self.place = place
        self.node, self.local, self.address, self.port = place
        self.rank, self.world = self.node * trial.devices + self.local, trial.processes
        self.share = self.rank, self.world
        self.cuda = torch.cuda.is_available()
        self.children: list[Child] = []
        self.over = threading.Event()

    def __enter__(self) -> "Team":
        if self.world > 1:
            other_node = self.node and not self.local
            self.store = (
                find_process_0(self.folder, self.place, WAIT) if other_node else self._connect()
            )
        if self.store and not self.local:
            self.children = [self._start(local) for local in range(1, self.trial.devices)]
        return self

    def _connect(self) -> dist.TCPStore:
        first = self.rank == 0
        try:
            return dist.TCPStore(self.address, self.port, None, first, WAIT, wait_for_workers=False)
        except dist.DistError as error:
            raise EffnetError(
                f"process {self.rank} cannot use MASTER_PORT {self.port} ({_line(error)}): choose "
                "a free port."
            ) from None

    def _start(self, local: int) -> Child:
        assert self.store is not None
        place = (self.node, local, self.address, self.store.port)
        own = {"trial": self.trial.values(), "runs": str(self.folder.parent), "place": place}
        return Child(self.rank + local, own | self.inputs)

    def begin(self, epochs: int) -> None:
        """In process 0: the run goes on after so many epochs. Returns when all are there."""
        if self.store is not None:
            self.store.set("begin", json.dumps([self.folder.name, epochs]))
            self._meet()

    def begun(self) -> int | None:
        """In the others: after how many epochs it goes on; None where it was finished meanwhile."""
        if self.store is None:
            return None
        self._until("begin")
        name, epochs = json.loads(self.store.get("begin"))
        if name != self.folder.name:
            raise EffnetError(
                f"process {self.rank} would train {self.folder.name} and process 0 trains {name}: "
                "they see other code, data or weights. After a change of these start again, in a "
                "notebook with a new kernel; nodes need the same of all."
            )
        if not (self.folder / "trial.json").exists():
            raise EffnetError(
                f"process {self.rank} does not see {self.folder / 'trial.json'}, which process 0 "
                "has written: all nodes must share the folder of the runs."
            )
        self._meet()
        return epochs

    def _meet(self) -> None:
        """Make torch's process group, in which Lightning finds itself."""
        assert self.store is not None
        self.store.set(f"ready {self.rank}", "")
        self._until(*(f"ready {rank}" for rank in range(self.world)))
        device = torch.device("cuda", self.local) if self.cuda else None
        if device:
            torch.cuda.set_device(device)
        dist.init_process_group(
            "nccl" if self.cuda else "gloo",
            store=self.store,
            rank=self.rank,
            world_size=self.world,
            timeout=WAIT,
            device_id=device,
        )
        if self.cuda:  # gloo sees by itself that another process is gone
            threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        """Once a process has ended, end what waits for it: NCCL would wait for half an hour."""
        while not self.over.wait(0.5):
            if self._ended():
                dist.distributed_c10d._abort_process_group()
                return

    def _until(self, *keys: str) -> None:
        """Wait for what other processes say, and look after those that this one started."""
        assert self.store is not None
        end = time.monotonic() + WAIT.total_seconds()
        while not self.store.check(list(keys)):
            if ended := self._ended():
                raise ProcessEnded(ended)
            if time.monotonic() > end:
                raise ProcessEnded(f"process {self.rank} waited {WAIT} for others in vain.")
            time.sleep(0.02)

    def _ended(self) -> str | None:
        """Which of the processes that this one started has ended, and why; None where all live."""
        for child in self.children:
            if why := child.why_ended():
                return f"process {child.rank} of {self.world} ended ({why}). {GO_ON}"
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self.store is None:
            return
        failed = "" if error is None else _line(error) or "it was stopped by a signal."
        lost = None
        try:
            if error is None and self.rank:  # until process 0 has written what the run leaves
                self._until("end")
                lost = self._last_words()
        except (dist.DistError, ProcessEnded) as late:
            error = late
        if error and connection_lost(error):
            lost = self._who_is_gone(error)
        self._leave(lost or failed)
        if lost:
            raise ProcessEnded(lost) from None

    def _who_is_gone(self, error: BaseException) -> str:
        """What broke the connection to another process."""
        assert self.store is not None
        end = time.monotonic() + LEAVING / 2
        while time.monotonic() < end:
            if ended := self._ended():
                return ended
            with suppress(dist.DistError):
                if self.rank and self.store.check(["end"]):
                    return self._last_words()
            time.sleep(0.05)
        if self.trial.num_nodes == 1:
            return f"another process of the run ended ({_line(error)}). {GO_ON}"
        return f"a process on another node ended: its output there says why. {GO_ON}"

    def _last_words(self) -> str:
        """Why process 0 ended; nothing where the run is finished."""
        assert self.store is not None
        words = self.store.get("end").decode()
        return words and f"process 0 of the run ended: {words}"

    def _leave(self, failed: str) -> None:
        """End what this process started, and torch's process group."""
        assert self.store is not None
        self.over.set()
        with suppress(dist.DistError):  # process 0 is gone, and the store with it
            self.store.set(f"left {self.node}" if self.rank else "end", failed)
        for child in self.children:
            child.end(0 if failed else LEAVING)
        if dist.is_initialized():
            if self.cuda and failed:
                dist.distributed_c10d._abort_process_group()
            else:
                dist.destroy_process_group()
        if self.rank == 0:  # the store is gone with it
            nodes = [f"left {node}" for node in range(1, self.trial.num_nodes)]
            end = time.monotonic() + LEAVING
            while nodes and not self.store.check(nodes) and time.monotonic() < end:
                time.sleep(0.02)
        self.store = None
        # Lightning leaves it, and the next run may be on one device.
        setattr(rank_zero_only, "rank", 0)  # noqa: B010


def _line(error: BaseException) -> str:
    return shorten(str(error), 300)
