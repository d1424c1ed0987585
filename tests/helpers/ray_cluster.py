"""Ray for real: several nodes as processes of this machine, and a checkout that trains on them."""

import json
import os
import re
import signal
import time
from contextlib import contextmanager, suppress

import pytest
from own_checkout import SMALL, make_checkout, start, write_profile
from small_trials import THIN

from effnet.demo.folder import make_demo
from effnet.train import run
from effnet.training.module import NonFiniteLoss
from effnet.trial import Trial

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDOFATEST12345", "AWS_SECRET_ACCESS_KEY": "secretofatest67890"}


# Without what else takes processors here: workers of Ray's that wait for a task, and its measuring.
QUIET = {f"RAY_{name}": "0" for name in (
    "enable_worker_prestart", "prestart_worker_first_driver", "enable_metrics_collection",
)}  # fmt: skip


@contextmanager
def cluster(checkout, *cpus):
    """A node for each number of CPUs, the first of them the head; the commands below join it."""
    from ray.cluster_utils import Cluster

    before, handler = dict(os.environ), signal.getsignal(signal.SIGTERM)
    os.environ |= {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"} | QUIET
    head = {"num_cpus": cpus[0], "include_dashboard": False}
    ray = Cluster(initialize_head=True, head_node_args=head)
    try:
        for number in cpus[1:]:
            ray.add_node(num_cpus=number)
        os.environ["RAY_ADDRESS"] = ray.address
        yield ray
    finally:
        ray.shutdown()
        signal.signal(signal.SIGTERM, handler)  # a head node puts Ray's own there
        os.environ.clear()
        os.environ.update(before)


class Grids:
    """Profiles in one checkout, trained by commands."""

    def __init__(self, folder):
        self.checkout = make_checkout(folder, unused={"runs": {"one": {}}})

    def profile(self, name, epochs=2, **runs):
        """A profile of thin trials; `runs` are values by label."""
        groups = {"scratch_rgb": {"runs": runs}}
        write_profile(self.checkout / f"{name}.yaml", groups, epochs=epochs, **THIN)

    def train_alone(self, epochs, **runs):
        """The same trials in this process, with neither Ray nor a profile: the runs of "alone"."""
        data = make_demo(self.checkout / "data/demo_smoke", size="smoke")
        shared = SMALL | THIN | {"epochs": epochs, "data_dir": str(data)}
        for label, values in runs.items():
            with suppress(NonFiniteLoss):
                trial = Trial.make(shared | values)
                run(trial, self.checkout / "reports/alone/runs", label, "scratch_rgb")

    def start(self, name, **environment):
        command = ("effnet.grid", f"{name}.yaml", "--engine", "ray")
        with pytest.MonkeyPatch.context() as patch:
            for key, value in environment.items():
                patch.setenv(key, str(value))
            return start(self.checkout, *command)

    def train(self, name, **environment):
        """Exit code and output."""
        process = self.start(name, **environment)
        output, _ = process.communicate(timeout=300)
        return process.returncode, output

    def runs(self, name):
        return sorted((self.checkout / "reports" / name / "runs").iterdir())


def read_until(process, pattern):
    """Lines of a command up to the one that matches; returns the match."""
    for line in process.stdout:
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"it ended ({process.wait()}) without {pattern!r}")


def pid_of(folder_pattern, root):
    """The process that trains a run, from its signs of life."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for path in root.glob(folder_pattern):
            status = json.loads(path.read_text())
            if status["state"] == "running":
                return status["pid"]
        time.sleep(0.1)
    raise AssertionError(f"nothing trains below {root}")


def kill(pid):
    os.kill(pid, signal.SIGKILL)


def lose(ray, beginning):
    """Take the node away whose name begins so, with all that runs there, in the middle of it."""
    (node,) = [n for n in ray.list_all_nodes() if n.node_id.startswith(beginning)]
    ray.remove_node(node, allow_graceful=False)
