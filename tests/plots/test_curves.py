"""Curves, listings and comparisons of runs."""

import numpy as np
import pandas as pd
import pytest
from fake_runs import fake_run, reseal
from figure_checks import SOURCE, rows_of, texts

from effnet import thesis
from effnet.plots import comparison, curves, dashboard, groups, listing
from effnet.report.content import run_rows
from effnet.runs import load_runs, metrics

PUBLISHED = listing.published_settings(thesis.published_runs(), thesis.grid())


def test_best_run_is_chosen_by_the_mean_of_batches(tmp_path):
    a = fake_run(tmp_path, "a", "scratch_rgb", 0.70)
    b = fake_run(tmp_path, "b", "scratch_rgb", 0.71)
    fake_run(tmp_path, "c", "scratch_gray", 0.99)
    # b has the higher mean of batches, a the higher share of images.
    for folder, accuracy in ((a, 0.9), (b, 0.5)):
        table = pd.read_csv(folder / "metrics.csv").assign(val_acc=accuracy)
        table.to_csv(folder / "metrics.csv", index=False)
        reseal(folder)
    runs = load_runs(tmp_path)
    assert groups.best_of(runs, "scratch_rgb")["name"] == "b"
    assert groups.best_of(runs, "all")["name"] == "c"
    assert groups.best_of(runs, "pretrained") is None
    assert "RGB from scratch: b" in texts(curves.best_of_group(runs, "scratch_rgb", SOURCE))


def test_three_rows_show_the_files_numbers(demo):
    run = groups.best_of(demo, "pretrained")
    rows = rows_of(run)
    figure = curves.best_of_group(demo, "pretrained", SOURCE, PUBLISHED)
    lr, losses, accuracies = figure.axes[:3]
    drawn = {line.get_label(): line.get_ydata() for ax in (lr, losses) for line in ax.lines} | {
        f"{line.get_label()} accuracy": line.get_ydata() for line in accuracies.lines
    }
    expected = {
        "learning rate": "lr",
        "training": "train_loss_batch_mean",
        "validation": "val_loss_batch_mean",
        "training accuracy": "train_acc_batch_mean",
        "validation accuracy": "val_acc_batch_mean",
    }
    for label, column in expected.items():
        np.testing.assert_allclose(drawn[label], [row[column] for row in rows])


def test_the_best_epoch_of_every_curve_is_marked_and_told(demo):
    run = groups.best_of(demo, "pretrained")
    rows = rows_of(run)
    losses, accuracies = curves.best_of_group(demo, "pretrained", SOURCE, PUBLISHED).axes[1:3]
    for ax, column, best in ((losses, "loss_batch_mean", min), (accuracies, "acc_batch_mean", max)):
        dots = [line for line in ax.lines if line.get_marker() == "o"]
        for dot, split, name in zip(
            dots, ("train", "val"), ("training", "validation"), strict=True
        ):
            values = [row[f"{split}_{column}"] for row in rows]
            assert dot.get_ydata()[0] == pytest.approx(best(values))
            assert dot.get_xdata()[0] == values.index(best(values))
            assert f"{name} {best(values):.3f}" in texts(ax)


def test_a_published_accuracy_is_a_line_only_among_comparable_runs(demo):
    for comparable, levels in ((False, []), (True, [0.9031956791877748])):
        figure = curves.best_of_group(demo, "pretrained", SOURCE, PUBLISHED, comparable)
        dashed = [line for line in figure.axes[2].lines if line.get_linestyle() == "--"]
        assert [line.get_ydata()[0] for line in dashed] == pytest.approx(levels)
        assert ("224 px: 0.903" in texts(figure)) == comparable
        assert "0.9032" in texts(figure)  # in the table below
    frozen = groups.best_of(demo, "pretrained_frozen")
    theirs = groups.published_run(PUBLISHED, "unnamed, figure 25")
    for comparable in (False, True):
        ax = curves.four_charts(frozen, "", SOURCE, theirs, comparable=comparable).axes[3]
        assert sum(line.get_linestyle() == "--" for line in ax.lines) == 2 * comparable


def test_listing_has_both_definitions_beside_the_published(whole_grid):
    run = whole_grid[whole_grid["name"] == "SAN-437"].iloc[0]
    history = pd.DataFrame(rows_of(run))
    table = listing.listing(run, history, groups.published_run(PUBLISHED, "SAN-437"))
    table = table.set_index("hyperparameter")
    here, theirs = table["here"], table["thesis (published)"]
    assert here["validation accuracy (batches)"] == f"{history['val_acc_batch_mean'].max():.4f}"
    assert here["validation accuracy (images)"] == f"{history['val_acc'].max():.4f}"
    assert theirs["validation accuracy (batches)"] == "0.8126" and theirs["seed"] == "–"
    assert theirs["rate drops at epoch"] == "82, 119" and theirs["input channels"] == "1"
    assert theirs["batch size"] == "32*"  # reconstructed, and marked as such
    assert here["dropout"] == "0" and here["decay"] == "0.1"


def test_lr_drops_are_the_first_epochs_at_a_lower_rate():
    lr = [1e-3] * 4 + [1e-4] * 2 + [1e-4 * (1 - 1e-9)] + [1e-5]
    assert listing.lr_drops(pd.DataFrame({"epoch": range(8), "lr": lr})) == [4, 7]
    assert listing.lr_drops(pd.DataFrame({"epoch": [0], "lr": [1e-3]})) == []


def test_schedule_shows_the_thesiss_run_or_the_one_with_most_drops(whole_grid, tmp_path):
    assert "SAN-459" in texts(curves.schedule(whole_grid, SOURCE))
    fake_run(tmp_path, "best", "scratch_gray", 0.9, lr_drops=())
    fake_run(tmp_path, "dropped", "scratch_gray", 0.5, lr_drops=(4, 8), seed=1)
    fake_run(tmp_path, "other", "scratch_rgb", 0.9, lr_drops=(2, 4, 8))
    fake_run(tmp_path, "SAN-459", "scratch_gray", 0.95, lr_drops=())  # its rate never fell here
    runs = load_runs(tmp_path)
    title = curves.schedule(runs, SOURCE).get_suptitle()
    assert title.endswith("grayscale from scratch: dropped")
    elsewhere = curves.schedule(runs[runs["name"] != "dropped"], SOURCE)
    assert elsewhere.get_suptitle().endswith("RGB from scratch: other")
    nowhere = curves.schedule(runs[runs["name"] == "best"], SOURCE)
    assert nowhere.get_suptitle().startswith("The learning rate fell in no run")


def test_figures_of_one_run_say_so(whole_grid, tmp_path):
    fake_run(tmp_path, "best", "scratch_gray", 0.9)
    fake_run(tmp_path, "other", "scratch_gray", 0.5, lr_drops=(2, 4))
    fake_run(tmp_path, "tuned", "pretrained", 0.9)
    runs = load_runs(tmp_path)
    assert "the run of figure 29, too" in texts(curves.charts(runs, SOURCE, PUBLISHED))
    assert "the run of figure 15, too" in texts(curves.best_of_group(runs, "scratch_gray", SOURCE))
    assert "the run of" not in texts(curves.schedule(runs, SOURCE))
    one = runs[runs["name"] == "best"]
    assert "the run of figures 15 and 29, too" in texts(curves.schedule(one, SOURCE))
    # The thesis's own choice where there is one.
    assert ": SAN-471" in curves.charts(whole_grid, SOURCE, PUBLISHED).get_suptitle()


def test_charts_count_steps_as_batches_of_training_images(tmp_path):
    fake_run(tmp_path, "a", "pretrained_frozen", images=(65, 10), batch_size=32, epochs=5)
    run = load_runs(tmp_path).iloc[0]
    assert curves.steps_per_epoch(run) == 3  # 32 + 32 + 1
    figure = curves.four_charts(run, "charts", SOURCE)
    for ax in figure.axes[1:4]:
        assert list(ax.lines[0].get_xdata()) == [3, 6, 9, 12, 15]


def test_epochs_to_reach_an_accuracy(tmp_path):
    fake_run(tmp_path, "a", "pretrained", epochs=4, val_acc=[0.2, 0.5, 0.79, 0.7])
    table = listing.epochs_to_reach(load_runs(tmp_path), "pretrained")
    assert table["epoch of 50%"].tolist() == [1]
    assert table["epoch of 80%"].isna().all()


def test_the_last_epoch_counts_from_0_everywhere_and_says_so(tmp_path):
    fake_run(tmp_path, "a", "pretrained", epochs=13)
    runs = load_runs(tmp_path)
    history = metrics(runs.iloc[0])
    listed = listing.listing(runs.iloc[0], history).set_index("hyperparameter")["here"]
    tables = [
        listing.group_table(runs, "pretrained"),
        listing.epochs_to_reach(runs, "pretrained"),
        comparison.comparison_table(runs, ("pretrained",), PUBLISHED),
        dashboard.run_table(runs),
        listed.to_frame().T,
    ]
    for table in tables:
        named = [column for column in table if "last" in column and "epoch" in column]
        assert named == ["last epoch, from 0"] and int(table[named[0]].iloc[0]) == 12
    assert runs.at[0, "last_epoch"] == 12 == len(history) - 1
    assert curves.last_epochs(runs.iloc[0])["epoch, from 0"].tolist() == [8, 9, 10, 11, 12]
    published = thesis.published_runs().set_index("run")["epochs"]
    assert tables[2]["last epoch, from 0"].tolist() == [12, published["SAN-396"]]
    shown = run_rows(runs)[0]
    assert (shown["last"], shown["best"]) == ("12", str(history["val_loss_batch_mean"].idxmin()))


def test_comparison_table_has_gap_seeds_and_published_values(seeds, tmp_path):
    table = comparison.comparison_table(seeds, ("pretrained", "scratch_rgb"), PUBLISHED)
    assert table["run"].tolist() == [
        "a-1", "SAN-396, thesis (published)", "SAN-448, thesis (published)",
    ]  # fmt: skip
    ours = table.iloc[0]
    assert ours["seeds"] == 3 and ours["range over seeds"] == pytest.approx(0.03)
    row = rows_of(groups.best_of(seeds, "pretrained"))[int(ours["gap at epoch"])]
    gap = row["val_loss_batch_mean"] - row["train_loss_batch_mean"]
    assert ours["loss gap, validation less training"] == pytest.approx(gap)
    assert table.iloc[2]["rate drops at epoch"] == "81, 99, 114"


def test_towering_losses_are_cut_off_and_low_accuracies_fill_their_panel(tmp_path):
    """One epoch of a loss of 99 hides no curve; a run at 9 % is no flat line."""
    values = [0.01 * (epoch + 1) for epoch in range(9)]
    for group in ("scratch_rgb", "scratch_gray"):
        folder = fake_run(tmp_path, group, group, 0.09, 0.09, epochs=9, val_acc=values)
        table = pd.read_csv(folder / "metrics.csv")
        table["train_loss_batch_mean"] = np.linspace(5.2, 4.8, 9)
        table["val_loss_batch_mean"] = [*np.linspace(5.3, 5.0, 8), 5.1]
        if group == "scratch_rgb":
            table.loc[4, "val_loss_batch_mean"] = 99
        table.to_csv(folder / "metrics.csv", index=False)
        reseal(folder)
    runs = load_runs(tmp_path)
    beside = comparison.side_by_side(runs, ("scratch_rgb", "scratch_gray"), SOURCE)
    alone = curves.best_of_group(runs, "scratch_rgb", SOURCE)
    charts = curves.four_charts(groups.best_of(runs, "scratch_rgb"), "One", SOURCE)
    for figure, losses, accuracies in (
        (beside, beside.axes[:2], beside.axes[2:4]),
        (alone, alone.axes[1:2], alone.axes[2:3]),
        (charts, charts.axes[2:3], charts.axes[3:4]),
    ):
        assert [ax.get_ylim() for ax in accuracies] == [(0, pytest.approx(0.103))] * len(accuracies)
        for ax in losses:
            low, high = ax.get_ylim()
            assert low < 4.8 and high == pytest.approx(1.25 * 5.2)
        (mark,) = (line for ax in losses for line in ax.lines if line.get_marker() == "^")
        ax = losses[0]
        epochs = next(line for line in ax.lines if line.get_label() == "validation").get_xdata()
        assert list(mark.get_xdata()) == [epochs[4]] and mark.axes is ax
        assert "▲ higher, up to 99.0" in texts(figure)
    plain = curves.best_of_group(runs, "scratch_gray", SOURCE)
    assert plain.axes[1].get_ylim()[1] < 5.5 and "▲" not in texts(plain)
