"""Edited texts of known Jaccard similarity are found as often as the theory of banding says, over many seeds.

`test_lsh` holds one seed over many pairs of bags of words; here few pairs of texts meet many seeds, by 5-grams.
"""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from runtime.data.lsh import band_keys, collision_probability
from runtime.data.minhash import MinHasher

NGRAM = 5
NUM_WORDS = 1200
NUM_PAIRS = 8
SEEDS = range(1, 41)


def shingles(words: list[str]) -> set[tuple[str, ...]]:
    return {tuple(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)}


def edited(words: list[str], edits: int, rng: random.Random) -> list[str]:
    """So many words are replaced, left out or followed by a new one."""
    result = list(words)
    for number, place in enumerate(sorted(rng.sample(range(len(words)), edits), reverse=True)):
        result[place : place + 1] = rng.choice([[], [f"new{number}"], [words[place], f"new{number}"]])
    return result


def pairs(edits: int) -> tuple[pa.Array, list[float]]:
    """Texts, each followed by its edited self, and the similarity of each pair by its definition."""
    rng = random.Random(edits)
    texts, similarities = [], []
    for number in range(NUM_PAIRS):
        words = [f"w{number}_{rng.randrange(500)}" for _ in range(NUM_WORDS)]
        other = edited(words, edits, rng)
        one, two = shingles(words), shingles(other)
        similarities.append(len(one & two) / len(one | two))
        texts += [rng.choice([" ", "\n", " += ", "(\t"]).join(side) for side in (words, other)]
    return pa.array(texts), similarities


@pytest.mark.parametrize(
    ("bands", "rows", "edits"),
    [*((14, 9, edits) for edits in (20, 30, 40, 50, 60)), *((16, 128, edits) for edits in (2, 3, 4, 5))],
)
def test_pairs_are_found_as_often_as_theory_says(bands, rows, edits):
    """Over 8 pairs and 40 seeds the share of found pairs lies within four standard errors."""
    texts, similarities = pairs(edits)
    chance = np.array([collision_probability(similarity, bands, rows) for similarity in similarities])
    keys = [band_keys(MinHasher(bands * rows, seed).signatures(texts)[0], bands, rows) for seed in SEEDS]
    found = np.array([(key[0::2] == key[1::2]).any(axis=1) for key in keys])
    error = (chance * (1 - chance)).sum() ** 0.5 / (NUM_PAIRS * len(SEEDS) ** 0.5)
    assert 0.05 < chance.mean() < 0.99  # where all or none are found, theory says little
    assert abs(found.mean() - chance.mean()) <= 4 * error


def test_seeds_find_different_pairs():
    """What one seed misses another finds: seeds draw permutations of their own."""
    texts, _ = pairs(30)
    keys = [band_keys(MinHasher(126, seed).signatures(texts)[0], 14, 9) for seed in SEEDS]
    assert all(not (one == two).any() for one, two in pairwise(keys))
