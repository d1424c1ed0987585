"""Claims about which run gets which image right (section 6.3, figure 34)."""

from collections.abc import Callable

import pandas as pd

from effnet.plots.answers import answers, column_groups, correct, hardest_classes, identical_columns
from effnet.verdicts.finding import COUNT, Finding, close, same
from effnet.verdicts.trained import Trained, judge_trained

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


def _hardest_classes(trained: Trained) -> pd.DataFrame:
    """The table that notebook 05 shows; ids stand for names, which no claim needs."""
    given = answers(trained.grid())
    names = pd.DataFrame({"class_id": given["class_id"].unique()})
    return hardest_classes(given, names.assign(class_name=names["class_id"].astype(str)))


def _hardest(expected: str, trained: Trained) -> Finding:
    classes = _hardest_classes(trained)
    first = classes.iloc[0]
    by_share = classes.loc[classes["share_right"].idxmin(), "class_id"]
    found = (
        f"{first['never_right']} of its images are right in no run, {first['share_right']:.1%} of "
        f"all answers are right; the lowest share of right answers has class {by_share}"
    )
    return same(int(first["class_id"]), int(expected), "most images that no run gets right", found)


def _never_right(expected: str, class_id: int, trained: Trained) -> Finding:
    never = _hardest_classes(trained).set_index("class_id")["never_right"]
    if class_id not in never.index:
        return close(float("nan"), expected, 2, DRAW, f"the data have no class {class_id}")
    found = f"{never.sum()} images of all classes are right in no run"
    return close(int(never[class_id]), expected, 2, DRAW, found)


def _columns(expected: str, trained: Trained) -> Finding:
    runs = trained.grid()
    groups = identical_columns(correct(answers(runs)))
    distinct = len(runs) - sum(len(names) - 1 for names in groups)
    found = f"{distinct} distinct columns; the thesis draws 62 of its 65 runs, 42 distinct (X10)"
    return same(len(runs), int(expected), COUNT, found)


def _leading(expected: str, trained: Trained) -> Finding:
    runs = trained.grid()
    groups = column_groups(answers(runs).drop(columns="class_id"), runs)
    is_pretrained = (groups == "pretrained").to_numpy()
    leading = int(is_pretrained.cumprod().sum())
    found = f"{int(is_pretrained.sum())} runs are pretrained; columns fall with right answers"
    return same(leading, int(expected), COUNT, found)
