"""What an unchanged ImageNet classifier says about cars, before anything is fine-tuned."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torchvision.models import get_weight

from effnet.augment import NORMALIZATIONS, Augment
from effnet.errors import EffnetError
from effnet.model import SCALES, build_model
from effnet.plots.augmentation import picture
from effnet.plots.groups import absent
from effnet.plots.style import GREY, OURS, footnote, new_figure, plain, styled
from effnet.weights.load import load_weights

NETWORK, NAME = "lite0", "EfficientNet-Lite0"
BATCH = 32
# ImageNet's own words for what Stanford Cars shows.
CARS = {
    "ambulance", "beach wagon", "cab", "convertible", "grille", "jeep", "limousine", "minivan",
    "Model T", "moving van", "passenger car", "pickup", "police van", "racer", "sports car",
    "recreational vehicle", "tow truck", "car wheel", "car mirror", "minibus",
}  # fmt: skip


def imagenet_answers(annotations: pd.DataFrame, data_dir: Path, count: int = 196) -> pd.DataFrame:
    """The likeliest ImageNet class of `count` images, evenly taken from the test split.

    Columns `path`, `class_name` (the data's), `answer` (ImageNet's), `probability`, `is_car`.
    The network is lite0 at its own resolution, with ImageNet's weights and classifier. Raises
    EffnetError where their package is not installed, or an image cannot be read.
    """
    test = annotations[annotations["split"] == "test"]
    rows = test.iloc[np.unique(np.linspace(0, len(test) - 1, min(count, len(test))).astype(int))]
    names = get_weight("EfficientNet_B0_Weights.IMAGENET1K_V1").meta["categories"]
    with torch.random.fork_rng():
        model = build_model(NETWORK)
    load_weights(model, NETWORK, classifier="load")
    normalise = Augment(*NORMALIZATIONS["lite", 3]).normalise
    found = []
    for start in range(0, len(rows), BATCH):
        paths = rows["path"].iloc[start : start + BATCH]
        pixels = np.stack([picture(data_dir, p, SCALES[NETWORK].resolution) for p in paths])
        images = normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        with torch.inference_mode():
            found.append(model.eval()(images).softmax(1).max(1))
    answers = [names[i] for _, best in found for i in best]
    return pd.DataFrame(
        {
            "path": rows["path"].to_numpy(),
            "class_name": rows["class_name"].to_numpy(),
            "answer": answers,
            "probability": torch.cat([p for p, _ in found]).numpy(),
            "is_car": [answer in CARS for answer in answers],
        }
    )


@styled
def imagenet_figure(
    annotations: pd.DataFrame, data_dir: Path, source: str, count: int = 196
) -> Figure:
    """ImageNet's commonest answers as bars, cars' words in colour; without its weights, why."""
    title = "What ImageNet's classifier sees"
    try:
        table = imagenet_answers(annotations, data_dir, count)
    except EffnetError as error:
        return absent(title, plain(error, 300, 60), source)
    shown = table["answer"].value_counts().head(15)
    figure, ax = new_figure(height=1.2 + 0.27 * len(shown))
    colours = [OURS if answer in CARS else GREY for answer in shown.index]
    bars = ax.barh(range(len(shown)), shown.to_numpy(), color=colours)
    ax.bar_label(bars, padding=3, fontsize=9)
    ax.set_yticks(range(len(shown)), [plain(answer, 30) for answer in shown.index])
    ax.set_ylim(len(shown) - 0.4, -0.6)
    ax.set(
        xlabel="images",
        title=f"{title}: {len(table)} images, of which {table['is_car'].mean():.0%} are cars to it",
    )
    ax.grid(False, axis="y")
    words = "blue: its words for cars and what is on them"
    footnote(figure, f"{source}; {NAME} at {SCALES[NETWORK].resolution} px, unchanged; {words}")
    return figure
