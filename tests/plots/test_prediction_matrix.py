"""The prediction matrix and what is read from it."""

import csv
import itertools
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fake_runs import fake_profile, fake_run
from fake_thesis import fake_thesis
from figure_checks import SOURCE, assert_apart, assert_legible, texts
from matplotlib.colors import to_hex
from PIL import Image

from effnet import thesis
from effnet.plots import answers, dashboard, groups, listing
from effnet.plots import predictions as pictures
from effnet.runs import load_runs, prediction_matrix
from effnet.verdicts.predictions import findings
from effnet.verdicts.trained import Trained

PUBLISHED = listing.published_settings(thesis.published_runs(), thesis.grid())


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return load_runs(fake_profile(tmp_path_factory.mktemp("demo")), ("finished",))


def test_matrix_is_the_prediction_files(demo):
    matrix = answers.correct(answers.answers(demo))
    assert matrix.mean().is_monotonic_decreasing
    for _, run in demo.iterrows():
        with open(Path(run["path"]) / "predictions_val.csv") as file:
            rows = list(csv.DictReader(file))
        right = [row["class_id"] == row["predicted_class_id"] for row in rows]
        assert matrix[groups.run_label(run)].tolist() == right
        assert matrix.index.tolist() == [row["path"] for row in rows]
    words = dict(zip(demo["name"], groups.labels(demo), strict=True))
    named = prediction_matrix(demo).rename(columns=words)
    pd.testing.assert_frame_equal(matrix, named[matrix.columns])


def test_runs_on_other_images_are_left_out_and_named(demo, tmp_path):
    fake_run(tmp_path, "fewer images", "pretrained", 0.99, images=(20, 10))
    runs = pd.concat([demo, load_runs(tmp_path)], ignore_index=True)
    given = answers.answers(runs)
    assert answers.left_out(given, runs) == ["fewer images"]
    assert len(given.columns) == len(demo) + 1


def test_groups_beyond_the_thesiss_are_drawn_too(demo, tmp_path):
    fake_run(tmp_path, "compound", "scaling", 0.6)
    fake_run(tmp_path, "mine", "my group", 0.5)
    runs = pd.concat([demo, load_runs(tmp_path)], ignore_index=True)
    matrix = answers.correct(answers.answers(runs))
    for figure in (
        pictures.matrix_figure(matrix, runs, SOURCE),
        dashboard.run_table_figure(dashboard.run_table(runs), SOURCE),
    ):
        assert "scaled networks" in texts(figure) and "my group" in texts(figure)
        assert_legible(figure)


def test_equal_names_are_told_apart(demo):
    runs = pd.concat([demo, demo.iloc[[0]].assign(trial_id="ffff0000")], ignore_index=True)
    given = answers.answers(runs)
    assert len(given.columns) == len(demo) + 2
    assert answers.identical_columns(answers.correct(given)) == [
        sorted([c for c in given.columns if c.startswith(groups.run_label(demo.iloc[0]))])
    ]


def test_identical_columns_are_found():
    rng = np.random.default_rng(0)
    values = rng.random((100, 6)) < 0.5
    values[:, 3] = values[:, 0]
    values[:, 5] = values[:, 0]
    values[:, 4] = values[:, 1]
    values[99, 2] = not values[99, 2]
    matrix = pd.DataFrame(values, columns=list("abcdef"))
    assert answers.identical_columns(matrix) == [["a", "d", "f"], ["b", "e"]]
    table = answers.identical_table(matrix, thesis.prediction_matrix_runs())
    assert table[["columns", "distinct"]].to_numpy().tolist() == [[6, 3], [62, 42]]
    assert table["sets of equal columns"][1].count(";") == 4


def test_hardest_classes_and_images_against_counting():
    given = pd.DataFrame(
        {
            "class_id": [7, 7, 7, 3, 3],
            "one": [7, 3, 5, 3, 7],
            "two": [7, 3, 5, 3, 3],
            "three": [5, 3, 3, 7, 3],
        },
        index=pd.Index(["a", "b", "c", "d", "e"], name="path"),
    )
    annotations = pd.DataFrame({"class_id": [3, 5, 7], "class_name": ["three", "five", "seven"]})
    classes = answers.hardest_classes(given, annotations)
    assert classes["class_id"].tolist() == [7, 3]
    assert classes["never_right"].tolist() == [2, 0]
    assert classes["share_right"].tolist() == pytest.approx([2 / 9, 4 / 6])
    assert classes["mostly_taken_for"].tolist() == ["three", "seven"]
    images = answers.hardest_images(given, annotations)
    assert images["path"].tolist() == ["b", "c", "d", "e", "a"][:2] + images["path"].tolist()[2:]
    assert images["runs_right"].tolist() == [0, 0, 2, 2, 2]
    assert images["mostly_taken_for"].tolist()[:2] == ["three", "five"]


def test_agreement_against_all_pairs(demo):
    matrix = answers.correct(answers.answers(demo))
    group = pictures.column_groups(matrix, demo)
    table = answers.agreement(matrix, group)
    for a, b in itertools.product(groups.GRID, repeat=2):
        pairs = [
            (matrix[x] == matrix[y]).mean()
            for x, y in itertools.product(matrix.columns, repeat=2)
            if x != y and group[x] == a and group[y] == b
        ]
        assert table.loc[a, b] == pytest.approx(np.mean(pairs))
    assert np.isnan(table.loc["pretrained_frozen", "pretrained_frozen"])


def test_the_matrix_of_the_whole_thesis_takes_seconds():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 196, 8041)
    guesses = rng.integers(0, 196, (8041, 300))
    given = pd.DataFrame(guesses, columns=[f"run {i}" for i in range(300)])
    given.insert(0, "class_id", truth)
    annotations = pd.DataFrame({"class_id": range(196), "class_name": map(str, range(196))})
    start = time.perf_counter()
    matrix = answers.correct(given)
    answers.identical_columns(matrix)
    answers.hardest_classes(given, annotations)
    answers.hardest_images(given, annotations)
    answers.agreement(matrix, pd.Series("other", index=matrix.columns))
    assert time.perf_counter() - start < 8  # 300 runs; quadratic code would need minutes


def test_matrix_figure_draws_light_for_right_and_sorts(demo):
    matrix = answers.correct(answers.answers(demo))
    figure = pictures.matrix_figure(matrix, demo, SOURCE)
    dataset_order, by_difficulty = (ax.images[0].get_array() for ax in figure.axes[2:4])
    np.testing.assert_array_equal(dataset_order, matrix.to_numpy())
    counts = by_difficulty.sum(axis=1)
    assert (np.diff(counts.astype(int)) <= 0).all()
    never = int((matrix.sum(axis=1) == 0).sum())
    assert f"{never} of {len(matrix)} images right in no run" in texts(figure)


def test_hard_images_are_shown_with_their_pixels(tmp_path):
    Image.new("RGB", (40, 30), (10, 200, 30)).save(tmp_path / "a.png")
    images = pd.DataFrame(
        {
            "path": ["a.png", "gone.png", "easy.png"],
            "class_id": [0, 1, 1],
            "class_name": ["Some Car", "Other Car", "Other Car"],
            "runs_right": [0, 0, 3],
            "runs": 3,
            "mostly_taken_for": ["Other Car", "Some Car", ""],
        }
    )
    figure = pictures.images_figure(images, tmp_path, SOURCE)
    first, second = (ax.images[0].get_array() for ax in figure.axes[:2])
    assert (np.asarray(first) == (10, 200, 30)).all() and first.shape == (30, 40, 3)
    assert second.shape == (3, 4, 3)
    shown = texts(figure)
    assert "2 of 3 validation images" in shown and "Some Car (0)" in shown
    assert "taken for Other Car" in shown and "gone.png" in shown and "easy.png" not in shown
    solved = pictures.images_figure(images[images["runs_right"] > 0], tmp_path, SOURCE)
    assert "3 of 3 right" in texts(solved)


def test_figures_tell_the_numbers_of_the_claims(tmp_path):
    fake_thesis(tmp_path, hard_class=3)
    for name, group in (
        ("compound", "scaling"),
        ("float32", "execution"),
        ("SAN-396 seed 1000", "pretrained"),
    ):
        fake_run(tmp_path, name, group, 0.99, seed=1000)
    runs = load_runs(tmp_path, ("finished",))
    expected = {"C116": "3", "C117": "5", "C118": "62", "C120": "15"}
    told = findings(expected, Trained(runs, True, "made up"))
    drawn = groups.grid_draws(runs)
    given = answers.answers(drawn)
    matrix = answers.correct(given)
    bars = pictures.matrix_figure(matrix, drawn, SOURCE).axes[0].patches
    assert len(bars) == int(told["C118"].got)
    assert [bar.get_height() for bar in bars] == sorted(matrix.mean(), reverse=True)
    blue = [to_hex(bar.get_facecolor()) == groups.COLOURS["pretrained"].lower() for bar in bars]
    assert np.cumprod(blue).sum() == int(told["C120"].got)
    named = pd.DataFrame({"class_id": range(196), "class_name": thesis.class_names()})
    classes = answers.hardest_classes(given, named)
    ax = pictures.classes_figure(classes, SOURCE).axes[0]
    never = [bar.get_width() for bar in ax.patches[20:]]
    assert never == sorted(never, reverse=True)  # sorted by what is drawn
    assert ax.get_yticklabels()[0].get_text().endswith(f"({told['C116'].got})")
    assert told["C116"].found.startswith(f"{never[0]:.0f} of its images")
    assert told["C117"].found.startswith(f"{classes['never_right'].sum()} images of all classes")
    assert int(told["C117"].got) == never[0]


def test_bars_tell_the_page_which_run_they_are(demo):
    matrix = answers.correct(answers.answers(demo))
    columns = thesis.prediction_matrix_runs()
    shares = pictures.shares_figure(matrix, demo, SOURCE, columns, PUBLISHED)
    for ax in (pictures.matrix_figure(matrix, demo, SOURCE).axes[0], shares.axes[0]):
        titles = [bar.get_gid() for bar in ax.patches]
        for title, (name, share) in zip(titles, matrix.mean().items(), strict=True):
            assert title.startswith("title:") and title.endswith(f"{name}: {share:.1%} right")
    assert shares.axes[1].patches[0].get_gid() == "title:pretrained, SAN-396: 90.3% right"


def test_no_words_of_the_agreement_lie_on_others(whole_grid):
    figure = pictures.agreement_figure(
        answers.correct(answers.answers(whole_grid)), whole_grid, SOURCE
    )
    assert_legible(figure)
    assert_apart(figure)
    assert figure.legends and not any(ax.get_legend() for ax in figure.axes)


def test_a_pointer_on_the_matrix_tells_run_and_image(demo):
    """A title for each column, and for each row where there are few enough to point at."""
    matrix = answers.correct(answers.answers(demo))
    figure = pictures.matrix_figure(matrix, demo, SOURCE)
    lower = [ax for ax in figure.axes if ax.images]
    columns, rows = ([patch.get_gid() for patch in ax.patches] for ax in lower)
    assert columns == [f"title:{name}: {share:.1%} right" for name, share in matrix.mean().items()]
    counts = {path: int(row.sum()) for path, row in matrix.iterrows()}
    told = {gid: int(gid.split("right in ")[1].split(" ")[0]) for gid in rows}
    assert len(told) == len(matrix) and list(told.values()) == sorted(told.values(), reverse=True)
    assert all(count == counts[gid[6:].split(":")[0]] for gid, count in told.items())
