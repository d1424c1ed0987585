"""The curves of a run's page against the numbers that they are drawn from."""

import pandas as pd
import pytest

from effnet.report.charts import HEIGHT, WIDTH, charts

EPOCHS = pd.DataFrame(
    {
        "epoch": [0, 1, 2],
        "lr": [1e-3, 1e-3, 1e-4],
        "train_loss_batch_mean": [3.0, 2.0, 1.0],
        "val_loss_batch_mean": [3.5, 2.5, 2.0],
        "train_acc_batch_mean": [0.1, 0.4, 0.8],
        "val_acc_batch_mean": [0.2, 0.3, 0.5],
    }
)


def test_places_follow_the_values():
    rate, loss, accuracy = charts(EPOCHS)
    assert [len(chart.curves) for chart in (rate, loss, accuracy)] == [1, 2, 2]
    places = [dot[1] for dot in accuracy.curves[1].dots]
    zero = next(tick.at for tick in accuracy.up if tick.text == "0")
    shares = [(zero - y) / (zero - places[-1]) for y in places]
    assert shares == pytest.approx([0.2 / 0.5, 0.3 / 0.5, 1], abs=0.01)
    assert [dot[0] for dot in loss.curves[0].dots] == [0, WIDTH / 2, WIDTH]
    assert loss.curves[1].dots[2][2] == "validation, epoch 2: 2"
    assert all(0 <= y <= HEIGHT for chart in (rate, loss, accuracy)
               for curve in chart.curves for _, y, _ in curve.dots)  # fmt: skip


def test_a_rate_falls_at_once():
    steps = [
        tuple(map(float, point.split(","))) for point in charts(EPOCHS)[0].curves[0].points.split()
    ]
    assert [x for x, _ in steps] == [0, WIDTH / 2, WIDTH / 2, WIDTH, WIDTH]
    assert steps[0][1] == steps[1][1] == steps[2][1] == steps[3][1] < steps[4][1]


def test_a_published_value_is_drawn_where_there_is_one():
    chart = charts(EPOCHS, 0.9)[2]
    assert chart.level[1] == "thesis (published), best: 0.900" and 0 < chart.level[0] < HEIGHT
    assert charts(EPOCHS)[2].level is None


def test_one_epoch_of_equal_values_is_a_chart():
    one = EPOCHS.iloc[:1].assign(train_acc_batch_mean=0.0, val_acc_batch_mean=0.0)
    assert all(chart.up for chart in charts(one))
