"""What a finished run leaves beside its metrics: predictions of every split, and a summary."""

from pathlib import Path
from typing import Any

import pandas as pd
import torch

from effnet.count import count_parameters, count_trainable_parameters
from effnet.data import CarsDataModule
from effnet.files import atomic_write, write_sealed
from effnet.model import EfficientNet
from effnet.training.checkpoints import load_checkpoint
from effnet.training.module import TOP_K, Classifier


@torch.inference_mode()
def predict(
    classifier: Classifier, data: CarsDataModule, split: str, k: int = max(TOP_K)
) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities and labels (n, k) of the k likeliest classes of every image, no augmentation.

    Rows are in the order of `data.split_rows(split)`.
    """
    network = classifier.eval().evaluator()
    k = min(k, data.num_classes)
    parts = []
    for images, _labels in data.ordered_loader(split):
        logits = network(classifier.augment.normalise(images.to(classifier.device)))
        parts.append([t.cpu() for t in logits.float().softmax(1).topk(k, dim=1)])
    return torch.cat([p for p, _ in parts]), torch.cat([i for _, i in parts])


def write(
    folder: Path,
    classifier: Classifier,
    data: CarsDataModule,
    best: dict[str, Any],
    rows: list[dict[str, float]],
) -> None:
    """predictions_SPLIT.csv and summary.json, from the last or the best epoch's weights.

    `best` is the best epoch (`epoch`, `val_loss`), `rows` are those of metrics.csv.
    """
    trial, model = classifier.trial, classifier.model
    if trial.predict_with == "best":
        state = load_checkpoint(folder / "best.ckpt", classifier.device)
        model.load_state_dict(state["state_dict"])
    final = {}
    # Without a held-out part the official test split is "val"; a folder may have no test split.
    held_out = trial.validation == "holdout" and len(data.split_rows("test"))
    for split in ["train", "val"] + (["test"] if held_out else []):
        probability, classes = predict(classifier, data, split)
        images = data.split_rows(split)
        truth = torch.as_tensor(images["label"].to_numpy(copy=True))
        hits = classes == truth[:, None]
        final[split] = {f"top{k}": hits[:, :k].any(1).double().mean().item() for k in TOP_K}
        table = pd.DataFrame(
            {
                "path": images["path"].to_numpy(),
                "class_id": images["class_id"].to_numpy(),
                "predicted_class_id": data.class_ids[classes[:, 0].numpy()],
                "probability": probability[:, 0].numpy(),
            }
        )
        with atomic_write(folder / f"predictions_{split}.csv") as temporary:
            table.to_csv(temporary, index=False, float_format="%.6f")
    trained = len(data.split_rows("train")) * len(rows)
    seconds = sum(row["seconds"] for row in rows)
    write_sealed(
        folder / "summary.json",
        {
            "parameters": count_parameters(model),
            "trainable_parameters": count_trainable_parameters(model),
            "epochs_done": len(rows),
            "stopped_early": len(rows) < trial.epochs,
            "training_seconds": round(seconds, 3),
            "best_epoch": best["epoch"],
            "best_val_loss": best["val_loss"],
            "images_per_second": round(trained / max(seconds, 1e-9), 1),
            "final": final,
            "skipped_images": data.skipped,
            # Not always the trial's: pretrained weights bring their own.
            "batch_norm_eps": model._bn0.eps if isinstance(model, EfficientNet) else None,
        },
    )
