"""What cleaning removes, what it leaves, and what it refuses."""

import multiprocessing

import pytest
from fake_results import fake_figure
from fake_runs import fake_run, rewrite

from effnet.errors import EffnetError
from effnet.files import WRITING
from effnet.grid.profiles import Profile
from effnet.report import clean
from effnet.training.identity import code_hash
from effnet.training.record import run_lock


@pytest.fixture
def reports(tmp_path, monkeypatch):
    """Results of two profiles, beside things that are nobody's business."""
    monkeypatch.setattr(Profile, "reports", property(lambda self: tmp_path / self.name))
    monkeypatch.setattr(clean, "REPORTS", tmp_path)
    for name in ("demo", "smoke"):
        fake_run(tmp_path / name, "run")
        fake_figure(tmp_path / name, "fig20")
    (tmp_path / "kept").write_text("x" * 1000)
    return tmp_path


def set_code(folder, **values):
    rewrite(folder / "trial.json", **({"code_hash": code_hash()} | values))
    return folder


def test_clean_removes_one_profile_and_says_how_much(reports, capsys):
    size = clean.disk_use(reports / "demo")
    assert clean.clean("demo") == size > 10_000
    assert sorted(p.name for p in reports.iterdir()) == ["kept", "smoke"]
    said = capsys.readouterr().out
    assert "runs" in said and "figures" in said and "removed" in said
    assert clean.clean("demo") == 0 and "nothing to remove" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["", ".", "..", "../effnet", "demo/", "demo/runs", "nobody"])
def test_only_known_profiles_are_cleaned(reports, name):
    with pytest.raises(EffnetError, match="allowed are controlled, demo"):
        clean.main([name])
    assert (reports / "demo").exists()


def test_links_are_not_followed(reports, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "precious").write_text("x")
    link = reports / "demo" / "runs" / "linked"
    link.symlink_to(outside)
    clean.clean_runs("demo")
    assert link.is_symlink()
    clean.clean("demo")
    (reports / "demo").symlink_to(outside)
    for command in (clean.clean, clean.clean_runs):
        with pytest.raises(EffnetError, match="is a link to"):
            command("demo")
    (reports / "demo").unlink()
    (reports / "demo").mkdir()
    (reports / "demo" / "runs").symlink_to(outside)
    with pytest.raises(EffnetError, match="is a link to"):
        clean.clean_runs("demo")
    assert (outside / "precious").exists()


def test_clean_runs_removes_what_nobody_needs(reports, capsys):
    demo = reports / "demo"
    finished = set_code(fake_run(demo, "finished"))
    stopped = set_code(fake_run(demo, "stopped", state="interrupted"))
    mine = set_code(fake_run(demo, "epochs=3", "scratch_rgb", epochs=3))
    old = fake_run(demo, "of other code", state="failed")
    unknown = demo / "runs" / "notes"
    unknown.mkdir()
    (unknown / "mine.damaged").write_text("x")
    for folder in (finished, stopped, mine):
        (folder / "last.ckpt").write_text("x")
    (finished / f"{WRITING}best-1.ckpt").write_text("x")
    (finished / "metrics.csv.damaged").write_text("x")
    clean.main(["demo", "--runs"])
    assert not old.exists() and (unknown / "mine.damaged").exists()
    assert (stopped / "last.ckpt").exists() and (stopped / "best.ckpt").exists()
    for folder in (finished, mine):
        assert not (folder / "last.ckpt").exists() and (folder / "best.ckpt").exists()
    left = {path.name for path in finished.iterdir()} - {".lock"}
    assert left == {"trial.json", "status.json", "summary.json", "metrics.csv", "best.ckpt"} | {
        "predictions_train.csv",
        "predictions_val.csv",
    }
    assert (demo / "figures" / "fig20.png").exists() and (reports / "smoke").exists()
    assert "of other training code" in capsys.readouterr().out


def hold(folder, ready, done):
    with run_lock(folder):
        ready.set()
        done.wait(60)


def test_what_is_being_trained_is_left_alone(reports, capsys):
    folder = fake_run(reports / "demo", "now", state="running")
    context = multiprocessing.get_context("fork")
    ready, done = context.Event(), context.Event()
    trainer = context.Process(target=hold, args=(folder, ready, done))
    trainer.start()
    try:
        assert ready.wait(60)
        clean.clean_runs("demo")
        assert folder.exists() and "being trained, left" in capsys.readouterr().out
        with pytest.raises(EffnetError, match="is being trained"):
            clean.clean("demo")
        assert folder.exists()
    finally:
        done.set()
        trainer.join()
    clean.clean_runs("demo")
    assert not folder.exists()


def test_disk_use_is_listed_by_profile(reports, monkeypatch, capsys):
    data = reports / "data"
    for name, size in (("cache", 5000), ("demo_smoke", 2000), ("thesis", 70)):
        (data / name).mkdir(parents=True)
        (data / name / "file").write_bytes(b"x" * size)
    monkeypatch.setattr(clean, "DATA", data)
    clean.main(["--du"])
    said = capsys.readouterr().out
    lines = {line.split()[0].rsplit("/", 1)[-1]: line for line in said.splitlines() if line.strip()}
    assert {"demo", "smoke", "cache", "demo_smoke"} <= set(lines) and "thesis" not in lines
    assert "5.00 kB" in lines["cache"]
    whole = clean.size_text(clean.disk_use(reports / "demo"))
    assert lines["demo"].endswith(whole)
