"""The processes of a run on several devices: how they begin, find each other, and end.

Process 0 is the caller's own. It decides and writes; the others train along. It starts those of
its machine, which begin in `effnet.train.follow` and end with it: their standard input is their
lifeline. On another node it is the command called there that takes part and starts its machine's.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from textwrap import shorten
from typing import IO, Any, NoReturn

import torch
import torch.distributed as dist
from pytorch_lightning.utilities import rank_zero_only

from effnet.errors import EffnetError
from effnet.paths import PACKAGE
from effnet.training.nodes import Place, find_process_0
from effnet.trial import Trial

# For another process: a slow disk, a compiler, a node that is started later.
WAIT = timedelta(minutes=30)
LEAVING = 10.0  # seconds that others have to end by themselves
LOST = 3  # exit code of a process that ended only because another one had
FOLLOW = "from effnet.train import follow; follow()"
GO_ON = "The same cell or command goes on after the last whole epoch."


class ProcessEnded(EffnetError):
    """A process of a run ended before the run did: no fault of the trial."""


@dataclass
class Child:
    """A process that this one started; `said` is what it writes to its standard error."""

    rank: int
    process: subprocess.Popen[bytes]
    said: IO[bytes]


class Team:
    """The processes of one run, as one of them sees them; in a `with` they train together.

    share: (rank, world), which process this is and of how many. local: which one of its machine.
    With one process in all nothing is started, and every call returns at once.

    Args:
        trial, folder: what is trained, and the folder of its run.
        place: of this process (port 0: any that is free).
        inputs: for process 0 of a node, what `follow` needs beside the trial, as JSON.
    """

    store: dist.TCPStore | None = None

    def __init__(
        self,
        trial: Trial,
        folder: Path,
        place: Place,
        inputs: dict[str, Any] | None = None,
    ) -> None:
        self.trial, self.folder, self.inputs = trial, folder, inputs
        self.node, self.local, self.address, self.port = place
        self.rank, self.world = self.node * trial.devices + self.local, trial.processes
        self.share = self.rank, self.world
        self.cuda = torch.cuda.is_available()
        self.children: list[Child] = []
        self.over = threading.Event()

    def __enter__(self) -> "Team":
        if self.world == 1:
            return self
        if self.node and not self.local:
            self.store = find_process_0(self.folder, self.address, self.port, WAIT)
            if self.store is None:  # the run is finished
                return self
        else:
            self.store = self._connect()
        if not self.local:
            self.children = [self._start(local) for local in range(1, self.trial.devices)]
        return self

    def _connect(self) -> dist.TCPStore:
        try:
            return dist.TCPStore(
                self.address, self.port, None, self.rank == 0, WAIT, wait_for_workers=False
            )
        except dist.DistError as error:
            raise EffnetError(
                f"process 0 cannot listen at MASTER_PORT {self.port} ({_line(error)}): choose a "
                "free port."
            ) from None

    def _start(self, local: int) -> Child:
        """One more process of this machine.

        Not one of multiprocessing: those import the caller's script or notebook again.
        """
        assert self.store is not None
        path = os.pathsep.join(filter(None, (str(PACKAGE.parent), os.environ.get("PYTHONPATH"))))
        said = tempfile.TemporaryFile()
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", FOLLOW],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            env=os.environ | {"PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is for process 0
        )
        place = (self.node, local, self.address, self.store.port)
        told = {"trial": self.trial.values(), "runs": str(self.folder.parent), "place": place}
        assert process.stdin
        with suppress(BrokenPipeError):  # it has ended already, which shows soon
            process.stdin.write(json.dumps(told | (self.inputs or {})).encode() + b"\n")
            process.stdin.flush()
        return Child(self.node * self.trial.devices + local, process, said)

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
                raise ProcessEnded(f"process {self.rank} of {self.world} waited {WAIT} in vain for "
                                   f"others. {GO_ON}")  # fmt: skip
            time.sleep(0.02)

    def _ended(self) -> str | None:
        """Which of the processes that this one started has ended, and why; None where all live."""
        dead = [child for child in self.children if child.process.poll() not in (None, LOST)]
        if not dead:
            return None
        code = dead[0].process.returncode
        dead[0].said.seek(0)
        said = dead[0].said.read().decode(errors="replace").strip().split("\n")[-1].rstrip(".")
        why = f"killed by {signal.Signals(-code).name}" if code < 0 else said or f"code {code}"
        return f"process {dead[0].rank} of {self.world} ended ({why}). {GO_ON}"

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if self.store is None:
            return
        reason = None
        try:
            if error is None and self.rank:  # until process 0 has written what the run leaves
                self._until("end")
                reason = self.store.get("end").decode()
        except (dist.DistError, ProcessEnded) as late:
            error = late
        if error and connection_lost(error):
            reason = self._why(error)
        self._leave("" if error is None else reason or _line(error) or type(error).__name__)
        if reason:
            raise ProcessEnded(reason) from None

    def _why(self, error: BaseException) -> str:
        """What broke the connection to another process."""
        end = time.monotonic() + LEAVING / 2
        while time.monotonic() < end:
            if ended := self._ended():
                return ended
            with suppress(dist.DistError):
                if self.rank and self.store and self.store.check(["end"]):
                    return f"process 0 of the run ended ({self.store.get('end').decode()})."
            time.sleep(0.05)
        return f"another process of the run ended ({_line(error)}); its own output says why."

    def _leave(self, reason: str) -> None:
        """End what this process started, and torch's process group; `reason` where one failed."""
        assert self.store is not None
        self.over.set()
        with suppress(dist.DistError):  # process 0 is gone, and the store with it
            self.store.set(f"left {self.node}" if self.rank else "end", reason)
        for child in self.children:
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(0 if reason else LEAVING)
            child.process.kill()
            child.process.wait()
            child.process.communicate()
            child.said.close()
        if dist.is_initialized():
            if self.cuda and reason:
                dist.distributed_c10d._abort_process_group()
            else:
                dist.destroy_process_group()
        if self.rank == 0:  # the store ends with this process's
            nodes = [f"left {node}" for node in range(1, self.trial.num_nodes)]
            end = time.monotonic() + LEAVING
            while nodes and not self.store.check(nodes) and time.monotonic() < end:
                time.sleep(0.02)
        self.store = None
        # Lightning leaves it, and the next run may be on one device.
        setattr(rank_zero_only, "rank", 0)  # noqa: B010


def connection_lost(error: BaseException) -> bool:
    """Whether an error is only that another process is gone."""
    text = str(error).lower()
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError)
        and any(w in text for w in ("gloo", "nccl", "closed by peer"))
    )


def told() -> dict[str, Any]:
    """What `Team` tells a process that it starts, which from here on ends with its starter."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # process 0 is told, too, and ends this one
    line = sys.stdin.buffer.readline()

    def hold() -> None:
        sys.stdin.buffer.read()
        os._exit(LOST)

    threading.Thread(target=hold, daemon=True).start()
    return json.loads(line)


def end_badly(error: Exception) -> NoReturn:
    """Leave a process that cannot go on, saying why in the last line."""
    text = str(error) if isinstance(error, EffnetError) else f"{type(error).__name__}: {error}"
    print(shorten(text, 2000), file=sys.stderr, flush=True)
    os._exit(LOST if connection_lost(error) or isinstance(error, ProcessEnded) else 1)


def _line(error: BaseException) -> str:
    return shorten(str(error), 200)
