"""Learns to read handwritten digits: a small neural network in NumPy, trained by SGD with momentum.

All that an epoch depends on is in the checkpoint: weights, momentum, the state of the random generator. So a
training run that is interrupted goes on to the very model, byte for byte, that it would have become.

As a job it is told its folders by SageMaker's variables; `python train.py` runs it alone.
"""

from __future__ import annotations

import argparse
import json
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Labels = NDArray[np.int64]


def parse_arguments() -> argparse.Namespace:
    env = os.environ.get
    parser = argparse.ArgumentParser(description="Train a digit reader.")
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--copies", type=int, default=4, help="times an epoch draws each digit")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument(
        "--hidden", type=int, default=512, help="neurons of the first layer; the second has half"
    )
    parser.add_argument("--learning_rate", type=float, default=0.05)
    parser.add_argument("--momentum", type=float, default=0.9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--train", type=Path, default=env("SM_CHANNEL_TRAIN", "data/train"))
    parser.add_argument("--test", type=Path, default=env("SM_CHANNEL_TEST", "data/test"))
    parser.add_argument("--model_dir", type=Path, default=env("SM_MODEL_DIR", "model"))
    parser.add_argument("--checkpoint_dir", type=Path, default=env("TRAINYARD_CHECKPOINT_DIR"))
    return parser.parse_args()


def read_digits(folder: Path) -> tuple[Array, Labels]:
    """Pixels from 0 to 1, and labels, of all CSV files in a folder."""
    files = sorted(folder.glob("*.csv"))
    rows = np.concatenate([np.loadtxt(file, delimiter=",", skiprows=1, dtype=np.int64) for file in files])
    return (rows[:, 1:] / 16).astype(np.float32), rows[:, 0]


class Network:
    """Two hidden layers of ReLUs and a softmax; weights and biases in one list, momentum in another."""

    def __init__(self, sizes: list[int], rng: np.random.Generator) -> None:
        self.weights: list[Array] = []
        for n_in, n_out in pairwise(sizes):
            scale = np.float32(np.sqrt(2 / n_in))
            self.weights.append(rng.standard_normal((n_in, n_out), dtype=np.float32) * scale)
            self.weights.append(np.zeros(n_out, dtype=np.float32))
        self.momentum = [np.zeros_like(w) for w in self.weights]

    def forward(self, x: Array) -> list[Array]:
        """What each layer gives, from the input itself to the probabilities of the ten digits."""
        layers = [x]
        for i in range(0, len(self.weights), 2):
            z = layers[-1] @ self.weights[i] + self.weights[i + 1]
            layers.append(np.maximum(z, 0) if i + 2 < len(self.weights) else softmax(z))
        return layers

    def step(self, x: Array, y: Labels, learning_rate: float, momentum: float) -> float:
        """One step of SGD on a batch; the batch's loss before it."""
        layers = self.forward(x)
        n = np.arange(len(y))
        loss = float(-np.log(layers[-1][n, y] + 1e-9).mean())
        delta = layers[-1].copy()
        delta[n, y] -= 1
        delta /= np.float32(len(y))
        for i in range(len(self.weights) - 2, -1, -2):
            gradients = layers[i // 2].T @ delta, delta.sum(axis=0)
            delta = (delta @ self.weights[i].T) * (layers[i // 2] > 0)
            for k, gradient in zip((i, i + 1), gradients, strict=True):
                self.momentum[k] *= np.float32(momentum)
                self.momentum[k] -= np.float32(learning_rate) * gradient
                self.weights[k] += self.momentum[k]
        return loss


def softmax(z: Array) -> Array:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def learning_rate(epoch: int, args: argparse.Namespace) -> float:
    """Half a cosine, from the full rate in the first epoch to next to nothing in the last."""
    return float(args.learning_rate * (1 + np.cos(np.pi * (epoch - 1) / args.epochs)) / 2)


def train_epoch(
    network: Network, x: Array, y: Labels, rate: float, args: argparse.Namespace, rng: np.random.Generator
) -> float:
    """One pass over `copies` of all digits in a new order, each with noise of its own; the mean loss."""
    losses = []
    order = rng.permutation(len(y) * args.copies) % len(y)
    for batch in np.array_split(order, len(order) // args.batch_size):
        noise = rng.standard_normal((len(batch), x.shape[1]), dtype=np.float32) * np.float32(0.1)
        losses.append(network.step(x[batch] + noise, y[batch], rate, args.momentum))
    return float(np.mean(losses))


def save_checkpoint(folder: Path, epoch: int, network: Network, rng: np.random.Generator) -> None:
    """Write aside, then rename: an interruption leaves the old checkpoint or the new one, never half."""
    arrays = {f"weight_{i}": w for i, w in enumerate(network.weights)}
    arrays |= {f"momentum_{i}": m for i, m in enumerate(network.momentum)}
    state = json.dumps({"epoch": epoch, "rng": rng.bit_generator.state})
    aside = folder / "checkpoint.tmp"
    with aside.open("wb") as file:
        np.savez(file, state=np.array(state), **arrays)
    aside.replace(folder / "checkpoint.npz")


def load_checkpoint(folder: Path, network: Network, rng: np.random.Generator) -> int:
    """Go back to the last checkpoint; the epochs done by then, 0 where there is none."""
    path = folder / "checkpoint.npz"
    if not path.exists():
        return 0
    with np.load(path) as saved:
        state = json.loads(str(saved["state"]))
        network.weights = [saved[f"weight_{i}"] for i in range(len(network.weights))]
        network.momentum = [saved[f"momentum_{i}"] for i in range(len(network.momentum))]
    rng.bit_generator.state = state["rng"]
    print(f"resumed from the checkpoint after epoch {state['epoch']}", flush=True)
    return int(state["epoch"])


def save_model(folder: Path, network: Network, accuracy: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, weight in enumerate(network.weights):
        np.save(folder / f"weight_{i}.npy", weight)
    facts = {"arrays": len(network.weights), "pixel_scale": 16, "accuracy": round(accuracy, 4)}
    (folder / "model.json").write_text(json.dumps(facts, indent=2) + "\n")


def main() -> None:
    args = parse_arguments()
    x, y = read_digits(args.train)
    x_test, y_test = read_digits(args.test)
    rng = np.random.default_rng(args.seed)
    network = Network([x.shape[1], args.hidden, args.hidden // 2, 10], rng)

    done = load_checkpoint(args.checkpoint_dir, network, rng) if args.checkpoint_dir else 0
    for epoch in range(done + 1, args.epochs + 1):
        loss = train_epoch(network, x, y, learning_rate(epoch, args), args, rng)
        accuracy = float((network.forward(x_test)[-1].argmax(axis=1) == y_test).mean())
        print(f"epoch={epoch} loss={loss:.4f} accuracy={accuracy:.4f}", flush=True)
        if args.checkpoint_dir:
            save_checkpoint(args.checkpoint_dir, epoch, network, rng)

    accuracy = float((network.forward(x_test)[-1].argmax(axis=1) == y_test).mean())
    save_model(args.model_dir, network, accuracy)


if __name__ == "__main__":
    main()
