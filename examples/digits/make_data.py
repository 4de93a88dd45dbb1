"""Writes scikit-learn's handwritten digits as the files that a project would have.

    data/train/digits-0.csv …   1,437 digits to learn from: label, pixel_00 … pixel_63
    data/test/digits.csv        360 held-out digits, to judge the model by
    data/scans.csv              rows to predict: each held-out digit scanned again and again, every scan with
                                noise of its own; id, label (to count what was right), pixel_00 … pixel_63

A pixel is 0 (paper) to 16 (ink). The same files come out each time, byte for byte.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

PIXELS = [f"pixel_{i:02}" for i in range(64)]
TRAIN_FILES = 4
HELD_OUT = 5  # every fifth digit

Digits = NDArray[np.int64]


def write_rows(path: Path, header: list[str], rows: Digits) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows.tolist())


def scan_again(labels: Digits, pixels: Digits, times: int) -> Digits:
    """`times` noisy scans of each digit, as rows of id, label and pixels."""
    noise = np.random.default_rng(0).integers(-1, 2, size=(times * len(labels), 64))
    scans = np.clip(np.tile(pixels, (times, 1)) + noise, 0, 16)
    ids = np.arange(len(scans))
    return np.column_stack([ids, np.tile(labels, times), scans])


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the digits as files.")
    parser.add_argument("--to", type=Path, default=Path("data"), help="the folder to write (default: data)")
    parser.add_argument("--scans", type=int, default=100, help="scans of each held-out digit (default: 100)")
    args = parser.parse_args()

    digits = load_digits()
    pixels, labels = digits.data.astype(np.int64), digits.target.astype(np.int64)
    table = np.column_stack([labels, pixels])
    held_out = np.arange(len(table)) % HELD_OUT == 0

    for i, part in enumerate(np.array_split(table[~held_out], TRAIN_FILES)):
        write_rows(args.to / "train" / f"digits-{i}.csv", ["label", *PIXELS], part)
    write_rows(args.to / "test" / "digits.csv", ["label", *PIXELS], table[held_out])
    scans = scan_again(labels[held_out], pixels[held_out], args.scans)
    write_rows(args.to / "scans.csv", ["id", "label", *PIXELS], scans)
    print(f"{args.to}: {(~held_out).sum()} digits to train, {held_out.sum()} held out, {len(scans)} scans")


if __name__ == "__main__":
    main()
