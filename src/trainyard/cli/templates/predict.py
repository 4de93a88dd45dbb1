"""Predicts which customers leave, batch by batch, with the model that train.py wrote."""

from __future__ import annotations

import json
import math
import os
from typing import Any


def model_fn(model_dir: str) -> dict[str, Any]:
    """Load the model, once for each shard."""
    with open(os.path.join(model_dir, "model.json")) as file:
        model: dict[str, Any] = json.load(file)
    return model


def predict_fn(batch: list[dict[str, str]], model: dict[str, Any]) -> list[dict[str, Any]]:
    """One result a row; its keys become columns beside the row's own. CSV's values are text."""
    return [predict_row(row, model) for row in batch]


def predict_row(row: dict[str, str], model: dict[str, Any]) -> dict[str, Any]:
    z = model["weights"][-1]
    for k, feature in enumerate(model["features"]):
        z += model["weights"][k] * (float(row[feature]) - model["means"][k]) / model["spreads"][k]
    probability = 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))
    return {"prediction": int(probability >= 0.5), "probability": round(probability, 4)}
