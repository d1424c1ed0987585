"""Claims about Stanford Cars, counted in the published annotations and in the data at hand."""

import numpy as np
import pandas as pd

from effnet import thesis
from effnet.datasets.stanford import official_order, plain_name
from effnet.verdicts.finding import COUNT, DIFFERS, EXACT, Finding, close, same

OUTLIER = "GMC Savana Van 2012"


def findings(expected: dict[str, str], at_hand: pd.DataFrame | None = None) -> dict[str, Finding]:
    """Findings by claim id for section 3.

    The verdict comes from the annotation table that the kit carries. `at_hand`, the annotations of
    the data that the runs saw, is counted too when it is Stanford Cars: a whole copy must agree,
    a part of it is only reported.
    """
    judged = _count(thesis.annotations(), expected)
    if at_hand is None or not official_order(list(at_hand["class_name"].unique())):
        return judged
    whole = len(at_hand) == int(expected["C013"])
    own = _count(at_hand, expected)
    merged = {}
    for claim, finding in judged.items():
        other = own[claim]
        name = "all" if whole else "a part"
        found = f"{finding.found}; data at hand ({name} of Stanford Cars): {other.got}"
        verdict = DIFFERS if whole and other.verdict == DIFFERS else finding.verdict
        merged[claim] = Finding(verdict, finding.got, finding.tolerance, finding.reason, found)
    return merged


def _count(annotations: pd.DataFrame, expected: dict[str, str]) -> dict[str, Finding]:
    of_class = annotations["class_id"].value_counts()
    in_split = annotations["split"].value_counts()
    train, test = int(in_split.get("train", 0)), int(in_split.get("test", 0))
    is_outlier = annotations["class_name"].map(plain_name) == plain_name(OUTLIER)
    outlier = annotations[is_outlier]
    outlier_id = int(outlier["class_id"].iloc[0]) if len(outlier) else -1
    others = of_class.drop(outlier_id, errors="ignore")
    share = 100 * train / len(annotations)
    by_class = annotations.groupby("class_id")["split"].agg(lambda s: (s == "train").mean())

    def count(claim: str, got: int, found: str) -> Finding:
        return same(int(got), int(expected[claim]), COUNT, found)

    return {
        "C013": count("C013", len(annotations), "Rows of the annotation table"),
        "C014": count("C014", len(of_class), "Distinct class ids"),
        "C015": count("C015", train, "Rows of the training split"),
        "C016": count("C016", test, "Rows of the test split"),
        "C017": close(
            share,
            expected["C017"],
            0.005,
            "two printed decimals",
            f"By class from {100 * by_class.min():.1f} to {100 * by_class.max():.1f} %",
            digits=2,
        ),
        "C018": count(
            "C018",
            len(outlier),
            f"{(outlier['split'] == 'train').sum()} train, {(outlier['split'] == 'test').sum()} "
            f"test; the largest class is id {of_class.idxmax()}",
        ),
        "C019": count("C019", outlier_id, "0-based"),
        "C020": _below(others, int(expected["C020"])),
        "C021": _histogram(of_class, int(expected["C021"])),
        "C119": count("C119", test, "Images of the test split, which the thesis validates on"),
    }


def _below(others: pd.Series, limit: int) -> Finding:
    verdict = same(bool(others.max() < limit), True, "").verdict
    found = f"{others.max()} images in class {others.idxmax()}, the next largest"
    return Finding(verdict, f"at most {others.max()}", EXACT, f"below {limit}", found)


def _histogram(of_class: pd.Series, expected: int) -> Finding:
    bars, edges = np.histogram(of_class, bins=30)
    published = thesis.class_distribution()["n_classes"].to_numpy()
    equal = int((bars == published).sum())
    found = (
        f"30 bins from {edges[0]:g} to {edges[-1]:g}; {equal} of 30 bars equal those of figure 13"
    )
    return same(int(bars.max()), expected, COUNT, found)
