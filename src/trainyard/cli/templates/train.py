"""Learns which customers leave: logistic regression, in plain Python.

It runs alone too: `python train.py`. As a job it is told its folders by SageMaker's variables, and after an
interruption it goes on from its last checkpoint to the very model it would have become.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import random
from operator import mul

FEATURES = ["tenure_months", "monthly_fee", "support_calls", "late_payments"]
LABEL = "churned"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--learning_rate", type=float, default=0.05)
    parser.add_argument("--train", default=os.environ.get("SM_CHANNEL_TRAIN", "data/train"))
    parser.add_argument("--model_dir", default=os.environ.get("SM_MODEL_DIR", "model"))
    # Alone there is no such folder, and every start is a new one.
    parser.add_argument("--checkpoint_dir", default=os.environ.get("TRAINYARD_CHECKPOINT_DIR", ""))
    return parser.parse_args()


def read_rows(folder: str) -> tuple[list[list[float]], list[int]]:
    """The features and labels of every CSV file in a folder."""
    inputs, labels = [], []
    for name in sorted(os.listdir(folder)):
        if name.endswith(".csv"):
            with open(os.path.join(folder, name), newline="") as file:
                for row in csv.DictReader(file):
                    inputs.append([float(row[feature]) for feature in FEATURES])
                    labels.append(int(row[LABEL]))
    return inputs, labels


def fit_scale(inputs: list[list[float]]) -> tuple[list[float], list[float]]:
    """The mean and the spread of each feature."""
    count = len(inputs)
    means = [sum(row[k] for row in inputs) / count for k in range(len(FEATURES))]
    spreads = [
        math.sqrt(sum((row[k] - mean) ** 2 for row in inputs) / count) or 1.0 for k, mean in enumerate(means)
    ]
    return means, spreads


def predict(weights: list[float], x: list[float]) -> float:
    """The probability that a customer leaves; the last weight is the bias."""
    z = weights[-1] + sum(map(mul, weights, x))
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))


def train_epoch(
    weights: list[float], inputs: list[list[float]], labels: list[int], rate: float, epoch: int
) -> float:
    """One pass of gradient descent over all rows; changes `weights`, returns the mean loss."""
    loss = 0.0
    # Each epoch has an order of its own, which a resumed run finds again.
    for i in random.Random(epoch).sample(range(len(inputs)), len(inputs)):
        p = predict(weights, inputs[i])
        loss -= math.log(p if labels[i] else 1 - p)
        step = rate / (1 + 0.1 * epoch) * (labels[i] - p)
        for k, value in enumerate(inputs[i]):
            weights[k] += step * value
        weights[-1] += step
    return loss / len(inputs)


def accuracy(weights: list[float], inputs: list[list[float]], labels: list[int]) -> float:
    right = sum((predict(weights, x) >= 0.5) == bool(labels[i]) for i, x in enumerate(inputs))
    return right / len(inputs)


def write_json(path: str, content: object) -> None:
    """Write aside, then rename: an interruption leaves the old file or the new one, never half of one."""
    with open(f"{path}.tmp", "w") as file:
        json.dump(content, file)
    os.replace(f"{path}.tmp", path)


def load_checkpoint(path: str) -> tuple[int, list[float]]:
    """The epochs done and the weights after them; a new start where there is no checkpoint."""
    if not os.path.exists(path):
        return 0, [0.0] * (len(FEATURES) + 1)
    with open(path) as file:
        saved = json.load(file)
    print(f"resuming after epoch {saved['epoch']}")
    return saved["epoch"], saved["weights"]


def main() -> None:
    args = parse_arguments()
    inputs, labels = read_rows(args.train)
    means, spreads = fit_scale(inputs)
    inputs = [[(x - means[k]) / spreads[k] for k, x in enumerate(row)] for row in inputs]
    # Every fifth row is held out, to judge by rows the model has not seen.
    held_out = inputs[::5], labels[::5]
    seen = (
        [row for i, row in enumerate(inputs) if i % 5],
        [label for i, label in enumerate(labels) if i % 5],
    )

    checkpoint = os.path.join(args.checkpoint_dir, "checkpoint.json")
    done, weights = load_checkpoint(checkpoint if args.checkpoint_dir else "")
    for epoch in range(done + 1, args.epochs + 1):
        loss = train_epoch(weights, *seen, args.learning_rate, epoch)
        print(f"epoch={epoch} loss={loss:.4f} accuracy={accuracy(weights, *held_out):.4f}", flush=True)
        if args.checkpoint_dir:
            write_json(checkpoint, {"epoch": epoch, "weights": weights})

    os.makedirs(args.model_dir, exist_ok=True)
    model = {"features": FEATURES, "means": means, "spreads": spreads, "weights": weights}
    write_json(os.path.join(args.model_dir, "model.json"), model)


if __name__ == "__main__":
    main()
