"""The counts of thesis section 3, from any annotations.

`annotations` is the DataFrame of `effnet.datasets.layouts.read_annotations` or of
`effnet.thesis.annotations`.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from effnet.datasets import normalisation

BINS = 30  # figure 13's
IN_WORDS = {
    "class_id": "class id (from 0)",
    "class_name": "class",
    "train": "training images",
    "test": "test images",
}


def class_counts(annotations: pd.DataFrame) -> pd.DataFrame:
    """One row per class with an image: class_id, class_name, train, test, images."""
    names = annotations.drop_duplicates("class_id").set_index("class_id")["class_name"]
    table = pd.crosstab(annotations["class_id"], annotations["split"])
    table = table.reindex(columns=["train", "test"], fill_value=0)
    table.insert(0, "class_name", names)
    table["images"] = table["train"] + table["test"]
    table.columns.name = None
    return table.reset_index()


def class_table(annotations: pd.DataFrame) -> pd.DataFrame:
    """`class_counts` with its columns in words."""
    return class_counts(annotations).rename(columns=IN_WORDS)


def outliers(counts: pd.DataFrame) -> pd.DataFrame:
    """Rows of `class_counts` further than three interquartile ranges above the third quartile."""
    low, high = np.percentile(counts["images"], [25, 75])
    return counts[counts["images"] > high + 3 * (high - low)]


def count_summary(annotations: pd.DataFrame) -> dict[str, float | int | str]:
    """The quantities of thesis section 3, by name, counted in `annotations`."""
    counts = class_counts(annotations).sort_values("images", ascending=False)
    train = int((annotations["split"] == "train").sum())
    largest, second, smallest = (
        counts.iloc[0],
        counts.iloc[min(1, len(counts) - 1)],
        counts.iloc[-1],
    )
    share = counts["train"] / counts["images"]
    return {
        "images": len(annotations),
        "classes": len(counts),
        "training images": train,
        "test images": len(annotations) - train,
        "training share (%)": round(100 * train / len(annotations), 2),
        "smallest training share of a class (%)": round(100 * share.min(), 2),
        "largest training share of a class (%)": round(100 * share.max(), 2),
        "largest class": largest["class_name"],
        "its class id (from 0)": int(largest["class_id"]),
        "its images": int(largest["images"]),
        "images of the second largest class": int(second["images"]),
        "images of the smallest class": int(smallest["images"]),
        "classes in the tallest bar of 30": int(np.histogram(counts["images"], bins=BINS)[0].max()),
    }


def count_table(here: pd.DataFrame, published: pd.DataFrame, claims: pd.DataFrame) -> pd.DataFrame:
    """Thesis, published annotation table and this data side by side, a row per quantity.

    `published`: all 16,185 annotations of Stanford Cars, in the columns of `here`.
    """
    said = claims.set_index("id")["value"].astype(str)
    thesis = {
        "images": said["C013"],
        "classes": said["C014"],
        "training images": said["C015"],
        "test images": said["C016"],
        "training share (%)": f"roughly 50 ({said['C017']} by its counts)",
        "largest class": "GMC Savana Van 2012",
        "its class id (from 0)": said["C019"],
        "its images": said["C018"],
        "images of the second largest class": f"below {said['C020']}",
        "classes in the tallest bar of 30": said["C021"],
    }
    table = pd.DataFrame({"published": count_summary(published), "here": count_summary(here)})
    table.insert(0, "thesis", pd.Series(thesis))
    return table.rename_axis("quantity").reset_index().fillna({"thesis": "not stated"})


def extremes(annotations: pd.DataFrame, count: int = 5) -> pd.DataFrame:
    """The largest and the smallest classes, `count` of each, with columns in words."""
    counts = class_counts(annotations).sort_values("images", ascending=False, kind="stable")
    chosen = pd.concat([counts.head(count), counts.tail(count)]).drop_duplicates("class_id")
    return chosen.rename(columns=IN_WORDS)


def pixel_sums(root: Path, annotations: pd.DataFrame) -> pd.DataFrame:
    """Sums over the pixels of each training image (`effnet.datasets.normalisation.image_sums`)."""
    train = annotations[annotations["split"] == "train"]
    return normalisation.image_sums(root, train["path"].tolist())


def normalisation_table(
    sums: pd.DataFrame, claims: pd.DataFrame, whole: bool = False
) -> pd.DataFrame:
    """Mean and deviation of the images behind `sums`, both ways, beside the thesis's constants.

    `whole`: these are the whole photographs beside a profile's cropped ones. The verdicts learn it
    from the column `whole_photographs`: how many there are, or 0.
    """
    statistics = normalisation.channel_statistics(sums)
    table = normalisation.normalisation_table(
        statistics, normalisation.published_normalisation(claims)
    )
    return table.assign(whole_photographs=len(sums) if whole else 0)
