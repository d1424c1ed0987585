"""What the grid costs on Ray: trials that only sleep on many nodes, and the demo's grid paired.

The nodes are processes of this machine, one CPU each for Ray: sleeping trials share two cores well,
training ones would not. Of the engine everything is the kit's own but the trial.
"""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections import deque
from types import SimpleNamespace
from typing import Any

import psutil

from effnet.grid.board import Display, Row

NODES = (1, 2, 4, 8, 16)
LONG, EACH = 5.0, 4  # seconds of a trial, trials a node
SHORT, MANY = 0.1, 1_000
IDLE = 25.0  # percent of this machine's cores, below which the nodes have started


def sleeping() -> dict[str, Any]:
    """Trials that only sleep: share of the ideal, time to the first task, memory of the driver."""
    import ray
    from ray.cluster_utils import Cluster

    from effnet.grid.tasks import start_board

    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
    began = time.perf_counter()
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    rows = []
    try:
        ray.init(address=cluster.address, log_to_driver=False)
        start = time.perf_counter() - began
        board = start_board()
        ray.get(board.news.remote())  # it is there
        for nodes in NODES:
            while len(cluster.list_all_nodes()) < nodes:
                cluster.add_node(num_cpus=1)
            cluster.wait_for_nodes()
            first = _drive(nodes, 1.0, board)  # it waits for the node's process
            # A node's own start is seconds of a core, and sixteen share two of them here.
            while psutil.cpu_percent(3) > IDLE or _drive(nodes, 1.0, board) > 2.0:
                pass
            rows.append(_measured(nodes, EACH * nodes, LONG, board) | {"first": first - 1.0})
        rows.append(_measured(NODES[-1], MANY, SHORT, board))
    finally:
        ray.shutdown()
        cluster.shutdown()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kilobytes, on Linux
    return {"rows": rows, "ray_starts": start, "driver_mb": peak}


def _measured(nodes: int, trials: int, seconds: float, board: Any) -> dict[str, Any]:
    took, ideal = _drive(trials, seconds, board), trials * seconds / nodes
    row = {"nodes": nodes, "trials": trials, "sleep": seconds, "took": took, "share": ideal / took}
    print(f"  {nodes} nodes, {trials} trials of {seconds} s: {took:.1f} s, {row['share']:.1%}")
    return row


def _drive(trials: int, seconds: float, board: Any) -> float:
    """Seconds that so many sleeping trials take, from the first submission to the last answer."""
    import ray

    from effnet.grid.tasks import drive

    task = ray.remote(num_cpus=1, max_retries=-1)(_sleep)
    items = [SimpleNamespace(number=number) for number in range(trials)]
    display = Display({item.number: Row(f"sleep {item.number}", 1) for item in items})
    display.say = lambda text: None
    began = time.perf_counter()
    ended = drive(deque(items), lambda i: task.remote(i.number, seconds, board), board, display)
    states = [outcome.state for _, outcome in ended]
    assert states == ["finished"] * trials, states
    return time.perf_counter() - began


def _sleep(number: int, seconds: float, board: Any) -> Any:
    """A trial for Ray: it begins, tells an epoch, and ends."""
    board.begin.remote(number, "a node").future().result()  # as `effnet.grid.node.answer`
    time.sleep(seconds)
    board.tell.remote(number, done=1, speed=1.0).future().result()
    # Not an `Outcome`: what it imports would keep this machine's two cores busy for 16 nodes.
    return SimpleNamespace(trial_id=None, state="finished", message="", system=False)


def demo(repeats: int) -> dict[str, Any]:
    """The demo's grid under the local engine and under Ray, by turns, each in a fresh copy."""
    from wholes import copy, environment

    seconds: dict[str, list[float]] = {"local": [], "ray": []}
    for repeat in range(repeats):
        order = ("local", "ray") if repeat % 2 == 0 else ("ray", "local")
        for engine in order:
            with copy() as folder:
                command = [sys.executable, "-m", "effnet.grid", "demo", "--engine", engine]
                began = time.perf_counter()
                subprocess.run(
                    command,
                    cwd=folder,
                    env=environment(folder),
                    check=True,
                    stdout=subprocess.DEVNULL,
                )
                seconds[engine].append(time.perf_counter() - began)
            print(f"  the demo's grid, {engine}: {seconds[engine][-1]:.0f} s")
    ratios = [ray / local for local, ray in zip(seconds["local"], seconds["ray"], strict=True)]
    return {"seconds": seconds, "ratios": ratios, "ratio": statistics.median(ratios)}


def measure(repeats: int) -> dict[str, Any]:
    return sleeping() | {"demo": demo(repeats)}
