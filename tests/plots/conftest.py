"""Made-up runs that several tests of figures look at."""

import pytest
from fake_runs import fake_profile, fake_run

from effnet import thesis
from effnet.runs import load_runs


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return load_runs(fake_profile(tmp_path_factory.mktemp("demo")), ("finished",))


@pytest.fixture(scope="module")
def whole_grid(tmp_path_factory):
    """A run for each of the thesis's 65, few images each."""
    reports = tmp_path_factory.mktemp("grid")
    for number, row in enumerate(thesis.grid().itertuples()):
        fake_run(
            reports,
            row.run,
            row.group,
            max_val_acc=0.3 + 0.009 * number,
            epochs=45,
            lr_drops=(20, 30) if row.run == "SAN-459" else (20,),
            dropout_rate=row.dropout_rate,
            weight_decay=row.weight_decay,
            batch_size=row.batch_size,
            seed=row.repeat - 1,
        )
    return load_runs(reports, ("finished",))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    reports = tmp_path_factory.mktemp("seeds")
    for seed, accuracy in enumerate((0.80, 0.83, 0.81)):
        fake_run(reports, f"a-{seed}", "pretrained", accuracy, dropout_rate=0.0, seed=seed)
    fake_run(reports, "b", "pretrained", 0.7, dropout_rate=0.2)
    return load_runs(reports, ("finished",))
