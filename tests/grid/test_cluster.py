"""The grid on the real Ray: several nodes on this machine, killed and removed at work."""

import hashlib
import json
import os
import signal
import tarfile
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("ray")
from ray_cluster import KEYS, Grids, cluster, kill, lose, pid_of, read_until
from small_trials import contents

from effnet.grid.storage import Storage, StorageFailed

A, B, C = ({"seed": seed} for seed in (1, 2, 4))
BAD = {"initial_lr": 10, "weight_decay": 9}
LONG = {"seed": 3, "image_size": 160}  # an epoch of a second


@pytest.fixture(scope="module")
def grids(tmp_path_factory):
    """A checkout, a cluster of three nodes, and what is trained without Ray to compare with."""
    moto = pytest.importorskip("moto.server")
    grids = Grids(tmp_path_factory.mktemp("cluster") / "kit")
    grids.train_alone(2, a=A, b=B, bad=BAD, c=C)
    grids.train_alone(8, long=LONG)
    server = moto.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = KEYS | {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ |= keys
    try:
        with cluster(grids.checkout, 2, 3, 3) as grids.ray:
            yield grids
    finally:
        server.stop()
        for name in keys:
            del os.environ[name]


def same(grids, name):
    """The runs of a profile are those that were trained without Ray, byte for byte."""
    there = {folder.name: folder for folder in grids.runs("alone")}
    assert len(grids.runs(name)) > 0
    for b in grids.runs(name):
        a = there[b.name]
        names = [sorted(p.name for p in f.iterdir() if p.name[0] != ".") for f in (a, b)]
        assert names[0] == names[1]
        if "metrics.csv" in names[0]:  # not where the first epoch failed
            assert contents(a) == contents(b)


def test_three_nodes_with_a_bucket_whose_keys_appear_nowhere(grids, tmp_path):
    """Images and runs travel by S3; a failing trial costs only itself."""
    import s3fs

    s3 = s3fs.S3FileSystem()
    s3.mkdir("runs-of-a-test")
    with tarfile.open(tmp_path / "cars.tar", "w") as packed:
        packed.add(grids.checkout / "data/demo_smoke", ".")
    s3.put_file(str(tmp_path / "cars.tar"), "runs-of-a-test/cars.tar")
    sha = hashlib.sha256((tmp_path / "cars.tar").read_bytes()).hexdigest()
    fetched = {"data_dir": "$STANFORD_CARS"}
    runs = {"a": A, "bad": BAD, "b": B, "c": C}
    grids.profile("three", 2, **{name: values | fetched for name, values in runs.items()})
    options = {
        "STORAGE": "s3://runs-of-a-test/grids", "STANFORD_CARS": "",
        "DATA_URL": f"s3://runs-of-a-test/cars.tar#sha256={sha}",
        "CPUS_PER_TRIAL": "2",  # one at a time on each node
    }  # fmt: skip
    code, output = grids.train("three", **options)
    assert code == 1, output
    assert "3 nodes, 8 CPUs, 0 GPUs" in output
    assert "1 of 4 trials are not trained:\n  bad (" in output and "lower initial_lr" in output
    nodes = {line.rpartition(" on ")[2] for line in output.splitlines() if "begins" in line}
    assert len(nodes) == 3, output
    assert output.count("begins") == 4, "a trial's own failure is not tried again"
    status = [json.loads((run / "status.json").read_text()) for run in grids.runs("three")]
    assert len({known["pid"] for known in status}) == 3, "two trained at once on one node"
    same(grids, "three")
    assert len(list(grids.checkout.glob("data/fetched/*/cars.tar"))) == 1
    with pytest.raises(StorageFailed, match="s3://not-there/grids: there is no such bucket") as no:
        Storage("s3://not-there/grids", "three").write("driver.json", {})
    for text in (output, str(no.value)):
        assert not any(key in text for key in KEYS.values())
    for path in (grids.checkout / "reports/three").rglob("*.*"):
        assert not any(key.encode() in path.read_bytes() for key in KEYS.values())
    code, output = grids.train("three", **options)
    assert code == 1 and "4 trials, 3 done, 0 to train" in output and "Ray at" not in output


def test_a_killed_driver_is_taken_over_by_one_that_waits_and_ctrl_c_stops_it(grids):
    """Where nodes and drivers share a folder."""
    grids.profile("driven", 8, long=LONG)
    first = grids.start("driven")
    read_until(first, "Ray at")
    second = grids.start("driven")
    waiting = read_until(second, r"waiting: .* is trained on Ray by process (\d+) on ")
    assert int(waiting[1]) == first.pid
    read_until(first, "epoch 2/8")
    worker = pid_of("reports/driven/runs/*/status.json", grids.checkout)
    kill(first.pid)
    epoch = int(read_until(second, r"goes on after epoch (\d)/8")[1])
    assert epoch >= 2
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    second.send_signal(signal.SIGINT)
    output, _ = second.communicate(timeout=60)
    assert second.returncode == 130 and "stopping after the epoch under way" in output, output
    assert "the same command goes on" in output
    (folder,) = grids.runs("driven")
    status = json.loads((folder / "status.json").read_text())
    assert status["state"] == "interrupted" and epoch < status["epochs_done"] < 8
    third = grids.start("driven")
    assert int(read_until(third, r"goes on after epoch (\d)/8")[1]) == status["epochs_done"]
    third.send_signal(signal.SIGINT)
    read_until(third, "stopping after the epoch")
    third.send_signal(signal.SIGINT)
    output, _ = third.communicate(timeout=60)
    assert third.returncode == 130 and "the same command goes on" in output, output


def test_a_killed_worker_and_a_lost_node_where_nodes_share_nothing(grids, tmp_path, monkeypatch):
    """Each costs the epoch under way. The last test: a node is gone."""
    monkeypatch.setenv("CPUS_PER_TRIAL", "3")  # as the head has not, which is not to be lost
    grids.profile("sent", 8, long=LONG)
    driver = grids.start("sent", STORAGE=f"file://{tmp_path}/store")
    node = read_until(driver, r"begins  on \S+-(\w+)")[1]
    read_until(driver, "epoch 2/8")
    assert not list(grids.checkout.glob("reports/sent/runs/*/*")), "nothing is shared"
    kill(pid_of(f"effnet-*/{node}*/runs/*/status.json", Path(tempfile.gettempdir())))
    node = read_until(driver, r"is taken up again  on \S+-(\w+)")[1]
    epoch = int(read_until(driver, r"goes on after epoch (\d)/8")[1])
    assert epoch >= 2
    read_until(driver, f"epoch {epoch + 2}/8")
    lose(grids.ray, node)
    read_until(driver, "is taken up again")
    assert int(read_until(driver, r"goes on after epoch (\d)/8")[1]) >= epoch + 1
    output, _ = driver.communicate(timeout=120)
    assert driver.returncode == 0, output
    same(grids, "sent")
    left = [p.name for p in (tmp_path / "store/sent").rglob("*") if p.is_file()]
    assert "finished.json" in left and "driver.json" not in left
    assert not [name for name in left if name[:3] == "000"], "earlier epochs are cleared away"
