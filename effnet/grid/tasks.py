"""Ray as the grid uses it: a cluster joined or started, a trial's share of it, tasks driven."""

import logging
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from effnet.errors import EffnetError
from effnet.grid.board import Board, Display
from effnet.grid.node import Outcome
from effnet.training import identity
from effnet.trial import Trial

AHEAD = 1_000  # tasks that Ray has at once, running or waiting


def require_ray() -> None:
    """Raise EffnetError where the package ray is not installed."""
    try:
        import ray  # noqa: F401
    except ImportError:
        raise EffnetError(
            "ENGINE=ray needs the package ray: `make env EXTRAS=cluster` installs it (or `pip "
            "install -c constraints.txt -e '.[cluster]'` in the checkout), on every node of a "
            "cluster. ENGINE=local needs nothing."
        ) from None


@contextmanager
def connected() -> Iterator[None]:
    """A cluster: that of RAY_ADDRESS, or one of this machine alone, which ends with us."""
    import ray

    address = os.environ.get("RAY_ADDRESS") or "local"
    alone = address == "local"
    try:
        context = ray.init(
            address=address,
            log_to_driver=False,  # the board tells; Ray keeps what the nodes print
            logging_level=logging.ERROR,
            num_cpus=identity.cores() if alone else None,
            include_dashboard=alone or None,
        )
    except Exception as error:  # of many kinds
        raise EffnetError(
            f"RAY_ADDRESS is {address!r}: Ray could not be reached or started there "
            f"({type(error).__name__}: {error}). `ray status` says whether a cluster runs."
        ) from None
    try:
        have = ray.cluster_resources()
        nodes = sum(found["Alive"] for found in ray.nodes())
        url = getattr(context, "dashboard_url", None)
        print(
            f"Ray at {ray.get_runtime_context().gcs_address}: {nodes} nodes, "
            f"{have.get('CPU', 0):.0f} CPUs, {have.get('GPU', 0):.0f} GPUs"
            + (f"; dashboard http://{url}" if url else ""),
            flush=True,
        )
        yield
    finally:
        ray.shutdown()


def share(trial: Trial) -> dict[str, float]:
    """What a trial takes of a node, in Ray's words: a GPU where there are any, or are to be.

    Raises EffnetError where this machine, alone, has not so much; to a cluster nodes may come.
    """
    import ray

    cpus, together = _number("CPUS_PER_TRIAL"), _number("TRIALS_PER_GPU")
    wanted: dict[str, float] = {"CPU": cpus or trial.threads * trial.devices}
    nodes = [found["Resources"] for found in ray.nodes() if found["Alive"]]
    if together or any(node.get("GPU") for node in nodes):
        wanted["GPU"] = trial.devices if trial.devices > 1 else 1 / (together or 1)
    if trial.num_nodes > 1:
        raise EffnetError(f"num_nodes is {trial.num_nodes}: on Ray a trial has one node.")
    if not any(all(node.get(kind, 0) >= n for kind, n in wanted.items()) for node in nodes):
        most = {kind: max(node.get(kind, 0) for node in nodes) for kind in wanted}
        short = f"a trial is to have {_words(wanted)}, and no node has more than {_words(most)}"
        if not os.environ.get("RAY_ADDRESS"):
            raise EffnetError(
                f"{short}: set CPUS_PER_TRIAL, TRIALS_PER_GPU, the trial's threads or its devices "
                "otherwise."
            )
        print(f"{short}: waiting for one that joins", flush=True)
    return {f"num_{kind.lower()}s": n for kind, n in wanted.items()}


def _words(resources: dict[str, float]) -> str:
    return " and ".join(f"{n:g} {kind}s" for kind, n in resources.items())


def _number(name: str) -> int | None:
    """A whole number from the environment."""
    text = os.environ.get(name, "")
    if text and not (text.isdecimal() and int(text)):
        raise EffnetError(f"{name} is {text!r}: it must be a whole number from 1.")
    return int(text) if text else None


def start_board() -> Any:
    """A `Board` on this node: it is gone when the driver's machine is, and not before."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    place = NodeAffinitySchedulingStrategy(here, soft=False)
    return ray.remote(num_cpus=0)(Board).options(scheduling_strategy=place).remote()


def drive(
    waiting: deque[Any], submit: Callable[[Any], Any], board: Any, display: Display
) -> Iterator[tuple[Any, Outcome]]:
    """Submit what waits, show what the board is told, and yield what ended, with how it ended.

    Args:
        waiting: what is to be trained, each with a `number`; the caller may add to it.
        submit: gives it to Ray; returns the reference of its `Outcome`.

    Raises KeyboardInterrupt after Ctrl-C or SIGTERM: when everything has stopped after its whole
    epoch, or at once for the second one.
    """
    import ray

    flying: dict[Any, Any] = {}
    asked, stopping = 0, False

    def stop(*_: Any) -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise KeyboardInterrupt

    try:
        with signals(stop):
            while waiting or flying:
                if asked and not stopping:
                    stopping = True
                    display.say("stopping after the epoch under way; Ctrl-C again stops at once")
                    ray.get(board.stop.remote())
                    waiting.clear()
                    for task, item in list(flying.items()):
                        if display.rows[item.number].state == "waiting":
                            ray.cancel(task)
                            del flying[task]
                while waiting and len(flying) < AHEAD:
                    item = waiting.popleft()
                    flying[submit(item)] = item
                over, _ = ray.wait(list(flying), num_returns=min(len(flying), 100), timeout=0.3)
                for number, values in ray.get(board.news.remote()):
                    display.tell(number, values)
                for task in over:
                    item, outcome = flying.pop(task), result(task)
                    note = outcome.message if outcome.state == "failed" else ""
                    display.tell(item.number, {"state": outcome.state, "note": note})
                    yield item, outcome
                display.refresh()
            if stopping:
                raise KeyboardInterrupt
    finally:
        display.close()
    print(display.summary(), flush=True)


def result(task: Any) -> Outcome:
    """How a task ended, also one that Ray could not even begin."""
    import ray

    try:
        return ray.get(task)
    except Exception as error:  # of the task's inputs, or Ray's own
        cause = getattr(error, "cause", None) or error
        own = isinstance(cause, EffnetError)
        return Outcome(None, "failed", str(cause) if own else f"Ray: {cause}".splitlines()[0])


@contextmanager
def signals(handler: Callable[..., None]) -> Iterator[None]:
    """Let `handler` take Ctrl-C and SIGTERM, where this thread may say so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, handler) for kind in kinds]
    try:
        yield
    finally:
        for kind, old in zip(kinds, before, strict=True):
            signal.signal(kind, old)
