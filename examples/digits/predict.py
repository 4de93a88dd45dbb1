"""Reads digits, batch by batch, with the model that train.py wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

# predict_fn gets a dict of NumPy arrays, one a column. Those of a CSV file hold text.
batch_format = "columns"

PIXELS = [f"pixel_{i:02}" for i in range(64)]


def model_fn(model_dir: str) -> dict[str, Any]:
    """Load the weights, once for each shard."""
    folder = Path(model_dir)
    facts: dict[str, Any] = json.loads((folder / "model.json").read_text())
    weights = [np.load(folder / f"weight_{i}.npy") for i in range(facts["arrays"])]
    return {**facts, "weights": weights}


def predict_fn(batch: dict[str, NDArray[Any]], model: dict[str, Any]) -> dict[str, NDArray[Any]]:
    """The digit and how sure the network is of it: one result a row, as columns beside the row's own."""
    x = np.column_stack([batch[name] for name in PIXELS]).astype(np.float32) / model["pixel_scale"]
    weights = model["weights"]
    for i in range(0, len(weights), 2):
        x = x @ weights[i] + weights[i + 1]
        if i + 2 < len(weights):
            x = np.maximum(x, 0)
    e = np.exp(x - x.max(axis=1, keepdims=True))
    probabilities = e / e.sum(axis=1, keepdims=True)
    return {"prediction": x.argmax(axis=1), "confidence": probabilities.max(axis=1).round(4)}
