"""Claims about which run gets which image right (section 6.3, figure 34)."""

from collections.abc import Callable

import pandas as pd

from effnet.plots.answers import answers, correct, identical_columns
from effnet.verdicts.finding import COUNT, Finding, close, same
from effnet.verdicts.trained import ACCURACY, Trained, judge_trained

DRAW = "a count over one draw of every run"


def findings(expected: dict[str, str], trained: Trained) -> dict[str, Finding]:
    """Findings by claim id."""
    judges: dict[str, Callable[[], Finding]] = {
        "C116": lambda: _hardest(expected["C116"], trained),
        "C117": lambda: _never_right(expected["C117"], int(expected["C116"]), trained),
        "C118": lambda: _columns(expected["C118"], trained),
        "C120": lambda: _leading(expected["C120"], trained),
    }
    return judge_trained(trained, judges)


def _by_class(trained: Trained) -> pd.DataFrame:
    """Per class: images that no run gets right, and the share of right answers; hardest first."""
    table = answers(trained.grid())
    matrix = correct(table)
    image = pd.DataFrame({"never": ~matrix.any(axis=1), "right": matrix.mean(axis=1)})
    classes = image.groupby(table["class_id"]).agg({"never": "sum", "right": "mean"})
    return classes.sort_values(["never", "right"], ascending=[False, True])


def _hardest(expected: str, trained: Trained) -> Finding:
    classes = _by_class(trained)
    first = classes.iloc[0]
    by_share = classes["right"].idxmin()
    found = (
        f"{int(first['never'])} of its images are right in no run, {first['right']:.1%} of all "
        f"answers are right; the lowest share of right answers has class {by_share}"
    )
    return same(int(classes.index[0]), int(expected), "most images that no run gets right", found)


def _never_right(expected: str, class_id: int, trained: Trained) -> Finding:
    classes = _by_class(trained)
    if class_id not in classes.index:
        return close(float("nan"), expected, 2, DRAW, f"the data have no class {class_id}")
    total = int(classes["never"].sum())
    found = f"{total} images of all classes are right in no run"
    return close(int(classes.at[class_id, "never"]), expected, 2, DRAW, found)


def _columns(expected: str, trained: Trained) -> Finding:
    runs = trained.grid()
    groups = identical_columns(correct(answers(runs)))
    distinct = len(runs) - sum(len(names) - 1 for names in groups)
    found = f"{distinct} distinct columns; the thesis draws 62 of its 65 runs, 42 distinct (X10)"
    return same(len(runs), int(expected), COUNT, found)


def _leading(expected: str, trained: Trained) -> Finding:
    runs = trained.grid().sort_values(ACCURACY, ascending=False)
    is_pretrained = (runs["group"] == "pretrained").to_numpy()
    leading = int(is_pretrained.cumprod().sum())
    found = f"{int(is_pretrained.sum())} runs are pretrained; columns fall with accuracy"
    return same(leading, int(expected), COUNT, found)
