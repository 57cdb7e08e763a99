"""Sequences of tokens made from a seed: problems that only a memory can solve."""

import hashlib

import torch

from helpers import checks
from helpers.datasets import ImageSet, Split

_SPLITS = ("train", "test")


def copying(
    split: Split,
    *,
    gap: int,
    count: int,
    seed: int,
    symbols: int = 8,
    length: int = 10,
) -> ImageSet:
    """Return ``count`` sequences of the copy problem: see a few symbols, wait, say them again.

    A sequence has ``length`` symbols, each 0 … ``symbols`` − 1 with the same chance, then ``gap``
    steps of which the last is the marker and the others are blank, then ``length`` blanks, at
    which the symbols are wanted in their order: each has to be kept for ``length + gap`` steps.

    ``images`` holds the tokens, (count, 2·length + gap), int64; the blank is ``symbols`` and the
    marker ``symbols`` + 1. ``labels`` holds what is wanted at the last ``length`` steps,
    (count, length), int64. Guessing costs ln ``symbols``. The two splits of a seed are different
    streams; ``checksums`` has the SHA-256 of the tokens as bytes. Raises ValueError for a number
    below 1, fewer than two symbols or more than 254, and an unknown split.

    Source: Hochreiter & Schmidhuber 1997, in the form of Arjovsky et al. 2016, section 4.1, whose
    T is the gap.
    """
    checks.known("split", split, _SPLITS)
    for what, value in (("gap", gap), ("count", count), ("length", length)):
        checks.count(what, value)
    if not 2 <= checks.count("symbols", symbols) <= 254:
        raise ValueError(f"symbols is {symbols}; expected 2 to 254 of them.")
    generator = torch.Generator().manual_seed(2 * seed + _SPLITS.index(split))
    blank, marker = symbols, symbols + 1
    labels = torch.randint(symbols, (count, length), generator=generator)
    tokens = torch.full((count, 2 * length + gap), blank)
    tokens[:, :length] = labels
    tokens[:, length + gap - 1] = marker
    written = hashlib.sha256(tokens.to(torch.uint8).numpy().tobytes()).hexdigest()
    return ImageSet(
        name="copying",
        split=split,
        scaling="raw",
        images=tokens,
        labels=labels,
        classes=tuple(str(symbol) for symbol in range(symbols)),
        checksums={f"copying {split}, seed {seed}": written},
    )
