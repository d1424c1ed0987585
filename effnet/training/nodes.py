"""Where a run is trained: the devices of this machine, and its place among several machines."""

import os
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from effnet.errors import EffnetError
from effnet.training.status import finished
from effnet.trial import Trial

# Lightning's names.
VARIABLES = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")


def check_devices(trial: Trial) -> None:
    """Raise EffnetError for a trial that this machine has not the devices for."""
    gpus = torch.cuda.device_count()
    if trial.cuda_graphs and not gpus:
        raise EffnetError(
            "cuda_graphs is True, but no CUDA GPU is here: set it to False. The numbers are the "
            "same up to rounding."
        )
    if trial.sync_batchnorm and not gpus:
        raise EffnetError(
            "sync_batchnorm is True, but no CUDA GPU is here, and torch's needs one: set it to "
            "False. Batch norm then sees each process's share of a batch."
        )
    if gpus and trial.devices > gpus:
        raise EffnetError(
            f"devices is {trial.devices}: this machine has {gpus} GPUs, allowed is 1 to {gpus}."
        )


Place = tuple[int, int, str, int]  # node, process on it, where process 0 listens: address, port


def node_place(trial: Trial) -> Place:
    """The place of this node's first process; on a single node process 0 listens at any free port.

    Raises EffnetError where there are several and the environment does not say which this is.
    """
    if trial.num_nodes == 1:
        return 0, 0, "127.0.0.1", 0
    found = {name: os.environ.get(name, "") for name in VARIABLES}
    node, port = found["NODE_RANK"], found["MASTER_PORT"]
    right = node.isdecimal() and int(node) < trial.num_nodes
    if not (right and port.isdecimal() and 0 < int(port) < 65536 and found["MASTER_ADDR"]):
        told = ", ".join(f"{name} is {value or 'not set'}" for name, value in found.items())
        raise EffnetError(
            f"num_nodes is {trial.num_nodes}: the same command runs on every node, with the "
            "variables MASTER_ADDR (name or address of node 0), MASTER_PORT (a free port there) "
            f"and NODE_RANK (0 to {trial.num_nodes - 1}). Here {told}."
        )
    return int(node), 0, found["MASTER_ADDR"], int(port)


def find_process_0(folder: Path, place: Place, wait: timedelta) -> dist.TCPStore | None:
    """Connect to process 0 of the run in `folder`; None where the run is finished by now.

    It may begin later than this node, and what listens may still be the end of the run before.
    """
    *_, address, port = place
    print(f"waiting for process 0 at {address}, port {port}", flush=True)
    end = time.monotonic() + wait.total_seconds()
    while time.monotonic() < end:
        if finished(folder):
            return None
        with suppress(dist.DistError):
            soon = timedelta(seconds=5)
            store = dist.TCPStore(address, port, None, False, soon, wait_for_workers=False)
            if not store.check(["end"]):
                store.set_timeout(wait)
                return store
        time.sleep(0.1)
    raise EffnetError(
        f"no process 0 was found at MASTER_ADDR {address}, MASTER_PORT {port} in {wait}: start the "
        "same command on node 0, and let this node reach that port."
    )
