"""Ray for real: several nodes as processes of this machine, and a checkout that trains on them."""

import json
import os
import re
import signal
import time
from contextlib import contextmanager

import pytest
from own_checkout import make_checkout, start, write_profile
from small_trials import THIN

KEYS = {"AWS_ACCESS_KEY_ID": "AKIDOFATEST12345", "AWS_SECRET_ACCESS_KEY": "secretofatest67890"}


@contextmanager
def cluster(checkout, nodes):
    """So many nodes of one CPU, the first of them the head; the commands below join it."""
    from ray.cluster_utils import Cluster

    before = dict(os.environ)
    os.environ |= {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    ray = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        for _ in range(nodes - 1):
            ray.add_node(num_cpus=1)
        os.environ["RAY_ADDRESS"] = ray.address
        yield ray
    finally:
        ray.shutdown()
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

    def start(self, name, *arguments, engine="ray", **environment):
        command = ("effnet.grid", f"{name}.yaml", "--engine", engine, *arguments)
        with pytest.MonkeyPatch.context() as patch:
            for key, value in environment.items():
                patch.setenv(key, str(value))
            return start(self.checkout, *command)

    def train(self, name, *arguments, **options):
        """Exit code and output."""
        process = self.start(name, *arguments, **options)
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
