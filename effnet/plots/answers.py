"""Tables behind the prediction matrix: runs, classes and images (thesis, section 6.3).

A matrix has a row per validation image (index: path) and a column per run. Everything here is
linear in runs x images: columns are compared by their hashes, agreement comes from row counts.
"""

from collections import Counter

import numpy as np
import pandas as pd

from effnet.plots.groups import PUBLISHED, labels, present, run_label
from effnet.runs import predictions


def answers(runs: pd.DataFrame, split: str = "val") -> pd.DataFrame:
    """Every run's answer for every image: index `path`, first column `class_id` (the true class),
    then a column of predicted class ids per run.

    Rows in the annotation's order, columns by falling share of right answers. Runs that were judged
    on other images than most (an experiment on fewer classes, say) do not fit into one matrix and
    get no column; see `left_out`.
    """
    if runs.empty:
        return pd.DataFrame({"class_id": pd.Series(dtype="int64")}).rename_axis("path")
    named = dict(zip(labels(runs), (run for _, run in runs.iterrows()), strict=True))
    tables = {name: predictions(named[name], split) for name in sorted(named)}
    seen = {name: hash(tuple(table["path"])) for name, table in tables.items()}
    common = Counter(seen.values()).most_common(1)[0][0]
    kept = [name for name in tables if seen[name] == common]
    kept.sort(key=lambda name: -tables[name]["correct"].mean())
    columns = {"class_id": tables[kept[0]]["class_id"].to_numpy()}
    columns |= {name: tables[name]["predicted_class_id"].to_numpy() for name in kept}
    return pd.DataFrame(columns, index=pd.Index(tables[kept[0]]["path"], name="path"))


def left_out(table: pd.DataFrame, runs: pd.DataFrame) -> list[str]:
    """Runs without a column in the table of `answers`: they saw other images than most."""
    return sorted(set(labels(runs)) - set(table.columns))


def correct(table: pd.DataFrame) -> pd.DataFrame:
    """The prediction matrix of `answers`: True where a run's answer is the true class."""
    given = table.drop(columns="class_id")
    return given.eq(table["class_id"], axis=0)


def column_groups(matrix: pd.DataFrame, runs: pd.DataFrame) -> pd.Series:
    """The group of every column of a matrix, in the columns' order."""
    return runs.set_index(labels(runs).to_numpy())["group"].reindex(matrix.columns)


def short_names(matrix: pd.DataFrame, runs: pd.DataFrame) -> pd.Series:
    """What each column's run is called where colours tell its group, in the columns' order."""
    short = [run_label(run, group=False) for _, run in runs.iterrows()]
    return pd.Series(short, labels(runs).to_numpy(), dtype=object).reindex(matrix.columns)


def identical_columns(matrix: pd.DataFrame) -> list[list[str]]:
    """Sets of runs with exactly the same column, largest first; runs with a column of their own
    are not listed. In the thesis five such sets hold 25 of its 62 runs.
    """
    packed = np.packbits(matrix.to_numpy(dtype=bool), axis=0)
    sets: dict[bytes, list[str]] = {}
    for name, column in zip(matrix.columns, packed.T, strict=True):
        sets.setdefault(column.tobytes(), []).append(name)
    return sorted((names for names in sets.values() if len(names) > 1), key=len, reverse=True)


def identical_table(matrix: pd.DataFrame, published: pd.DataFrame | None = None) -> pd.DataFrame:
    """Columns, distinct columns and sets of equal ones, here and in the thesis's figure 34."""
    rows = [("here", len(matrix.columns), identical_columns(matrix))]
    if published is not None:
        twins = published[published["drawn_identical_to"].fillna("") != ""]
        sets = {frozenset([r.run, *r.drawn_identical_to.split(";")]) for r in twins.itertuples()}
        ordered = sorted(map(sorted, sets), key=lambda names: (-len(names), names))
        rows.append((PUBLISHED, len(published), ordered))
    return pd.DataFrame(
        [
            {
                "matrix": name,
                "columns": count,
                "distinct": count - sum(len(s) - 1 for s in sets),
                "sets of equal columns": "; ".join(", ".join(s) for s in sets) or "none",
            }
            for name, count, sets in rows
        ]
    )


def hardest_classes(table: pd.DataFrame, annotations: pd.DataFrame) -> pd.DataFrame:
    """Classes from hardest to easiest, from the table of `answers` and the data's annotations.

    Columns `class_id`, `class_name`, `images`, `never_right` (images that no run gets right),
    `share_right` (over all runs and images), `mostly_taken_for` (the commonest wrong answer).
    Hardest first: by `never_right`, the thesis's measure, then by `share_right`.
    """
    matrix, names = correct(table), _names(annotations)
    rows = []
    for class_id, part in table.groupby("class_id"):
        right = matrix.loc[part.index]
        given = part.drop(columns="class_id").to_numpy().ravel()
        rows.append(
            {
                "class_id": int(class_id),
                "class_name": names[class_id],
                "images": len(part),
                "never_right": int((~right.any(axis=1)).sum()),
                "share_right": float(right.to_numpy().mean()),
                "mostly_taken_for": _commonest(given[given != class_id], names),
            }
        )
    keys = ["never_right", "share_right", "class_id"]
    columns = ["class_id", "class_name", "images", *keys[:2], "mostly_taken_for"]
    order = pd.DataFrame(rows, columns=columns).sort_values(keys, ascending=[False, True, True])
    return order.reset_index(drop=True)


def hardest_images(table: pd.DataFrame, annotations: pd.DataFrame) -> pd.DataFrame:
    """Images from the fewest right answers to the most, as `hardest_classes`.

    Columns `path`, `class_id`, `class_name`, `runs_right`, `runs`, `mostly_taken_for`.
    """
    names = _names(annotations)
    given = table.drop(columns="class_id").to_numpy()
    truth = table["class_id"].to_numpy()
    wrong = [_commonest(row[row != true], names) for row, true in zip(given, truth, strict=True)]
    frame = pd.DataFrame(
        {
            "path": table.index,
            "class_id": truth,
            "class_name": [names[i] for i in truth],
            "runs_right": (given == truth[:, None]).sum(axis=1),
            "runs": given.shape[1],
            "mostly_taken_for": wrong,
        }
    )
    # Among equally hard images, those of the class with the most of them come first.
    hard = frame.groupby("class_id")["runs_right"].transform(lambda right: (right == 0).sum())
    order = frame.assign(hard=-hard).sort_values(["runs_right", "hard", "class_id"], kind="stable")
    return order.drop(columns="hard").reset_index(drop=True)


def _names(annotations: pd.DataFrame) -> dict[int, str]:
    return dict(zip(annotations["class_id"], annotations["class_name"], strict=True))


def _commonest(class_ids: np.ndarray, names: dict[int, str]) -> str:
    """Name of the class most often among these answers; empty without answers."""
    return names[int(np.bincount(class_ids).argmax())] if len(class_ids) else ""


def agreement(matrix: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
    """Mean share of images on which two different runs are both right or both wrong, group by
    group: a symmetric table, NaN where a group has a single run. `groups` has the group of
    every column.

    From the number of right runs per image and group, so linear in the size of the matrix.
    """
    names = present(groups)
    right, total = {}, {}
    for name in names:
        part = matrix[[run for run in matrix.columns if groups[run] == name]].to_numpy()
        right[name], total[name] = part.sum(axis=1).astype(float), part.shape[1]
    table = pd.DataFrame(np.nan, index=names, columns=names)
    for a in names:
        for b in names:
            pairs = right[a] * right[b] + (total[a] - right[a]) * (total[b] - right[b])
            count = total[a] * total[b]
            if a == b:  # a run always agrees with itself: those pairs do not count
                pairs, count = pairs - total[a], count - total[a]
            if count:
                table.loc[a, b] = pairs.mean() / count
    return table
