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
from effnet.training.meter import TOP_K
from effnet.training.module import Classifier
from effnet.training.sharing import all_rows, from_first


@torch.inference_mode()
def predict(
    classifier: Classifier, data: CarsDataModule, split: str, k: int = max(TOP_K)
) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities and labels (n, k) of the k likeliest classes of every image, no augmentation.

    Rows are in the order of `data.split_rows(split)`. Each process of a run computes its share.
    """
    network = classifier.eval().evaluator()
    k = min(k, data.num_classes)
    device = classifier.device
    parts = [(torch.empty(0, k, device=device), torch.empty(0, k, device=device).long())]
    for images, _labels in data.ordered_loader(split):
        if len(images):
            logits = network(classifier.augment.normalise(images.to(device)))
            parts.append(logits.float().softmax(1).topk(k, dim=1))
    count = len(data.split_rows(split))
    probability, classes = (
        all_rows(torch.cat(found), count, data.share).cpu() for found in zip(*parts, strict=True)
    )
    return probability, classes


def write(
    folder: Path,
    classifier: Classifier,
    data: CarsDataModule,
    best: dict[str, Any],
    rows: list[dict[str, float]],
) -> None:
    """predictions_SPLIT.csv and summary.json, from the last or the best epoch's weights.

    `best` is the best epoch (`epoch`, `val_loss`), `rows` are those of metrics.csv. Every process
    of a run calls it, the first one reads and writes.
    """
    trial, model, first = classifier.trial, classifier.model, data.share[0] == 0
    if trial.predict_with == "best":
        if first:
            state = load_checkpoint(folder / "best.ckpt", classifier.device)
            model.load_state_dict(state["state_dict"])
        from_first(model.state_dict().values(), data.share)
    final = {}
    # Without a held-out part the official test split is "val"; a folder may have no test split.
    held_out = trial.validation == "holdout" and len(data.split_rows("test"))
    for split in ["train", "val"] + (["test"] if held_out else []):
        probability, classes = predict(classifier, data, split)
        if not first:
            continue
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
    if not first:
        return
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
