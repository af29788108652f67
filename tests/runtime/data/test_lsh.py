"""Band keys against a plain definition, and the recall of banding against theory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from compiler.errors import UserError
from runtime.data.lsh import band_keys, collision_probability, threshold
from runtime.data.minhash import MinHasher


def reference_key(band: list[int]) -> int:
    """The documented definition, at Python's speed."""
    key = 0
    for row in band:
        key = (key ^ row) * 0x9E3779B97F4A7C15 % 2**64
        key ^= key >> 32
    return key


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 4), st.integers(1, 5), st.integers(1, 6))
def test_keys_equal_the_plain_definition(data, num_documents, bands, rows):
    """Any signatures, also none, give the documented key of each run of rows."""
    signatures = data.draw(hnp.arrays(np.uint32, (num_documents, bands * rows)))
    keys = band_keys(signatures, bands, rows)
    assert keys.dtype == np.uint64
    assert keys.shape == (num_documents, bands)
    expected = [[reference_key(band.tolist()) for band in row.reshape(bands, rows)] for row in signatures]
    assert keys.tolist() == expected


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.uint32, (2, 12), elements=st.integers(0, 2)))
def test_keys_are_equal_exactly_where_bands_are(signatures):
    """Equal bands share a key and, of so few, different ones do not."""
    keys = band_keys(signatures, bands=4, rows=3)
    equal_bands = (signatures[0].reshape(4, 3) == signatures[1].reshape(4, 3)).all(axis=1)
    assert (keys[0] == keys[1]).tolist() == equal_bands.tolist()


def test_the_key_does_not_hold_the_number_of_the_band():
    """The band is a column of its own, so equal rows in two bands have one key."""
    keys = band_keys(np.tile(np.arange(9, dtype=np.uint32), (1, 14)), bands=14, rows=9)
    assert len(np.unique(keys)) == 1


def test_keys_of_random_bands_are_spread_and_distinct():
    """A million random bands do not collide, and each bit of their keys is set half the time."""
    signatures = np.random.default_rng(0).integers(0, 2**32, (1000, 1000), dtype=np.uint32)
    keys = band_keys(signatures, bands=500, rows=2).ravel()
    assert len(np.unique(keys)) == len(keys)
    ones = np.unpackbits(keys.view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
    assert np.abs(ones - 0.5).max() < 5 * 0.5 / len(keys) ** 0.5


def test_small_signatures_do_not_collide():
    """Structure (small numbers, one row apart) does not defeat the mix: 10 000 short bands, as many keys."""
    grid = np.stack(np.meshgrid(*[np.arange(10)] * 4), axis=-1).reshape(-1, 4).astype(np.uint32)
    assert len(np.unique(band_keys(grid, bands=1, rows=4))) == 10_000


def test_a_view_of_signatures_has_the_keys_of_its_copy():
    """Strided and column-major input is read by position, not by memory."""
    signatures = np.random.default_rng(1).integers(0, 2**32, (8, 24), dtype=np.uint32)
    view = np.asfortranarray(signatures)[::2, :12]
    np.testing.assert_array_equal(band_keys(view, 4, 3), band_keys(view.copy(), 4, 3))


@pytest.mark.parametrize(("bands", "rows"), [(14, 9), (0, 5), (-2, -8), (16, 0)])
def test_bands_that_do_not_cut_the_signature_are_a_user_error(bands, rows):
    """The message holds the three numbers."""
    with pytest.raises(UserError, match=f"{bands} bands x {rows} rows over 16 permutations"):
        band_keys(np.zeros((1, 16), dtype=np.uint32), bands, rows)


def test_the_published_settings_have_their_thresholds():
    """16 x 128 asks for near identity; 128 x 16, the other way round, for three quarters."""
    assert threshold(16, 128) == pytest.approx(0.97857, abs=1e-5)
    assert threshold(128, 16) == pytest.approx(0.73841, abs=1e-5)
    assert collision_probability(threshold(14, 9), 14, 9) == pytest.approx(1 - (1 - 1 / 14) ** 14)


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 64), st.integers(1, 64))
def test_the_collision_curve_rises_from_0_to_1(one, other, bands, rows):
    """It is a probability, monotone in similarity, 0 for the disjoint and 1 for the identical."""
    low, high = sorted((one, other))
    assert 0 <= collision_probability(low, bands, rows) <= collision_probability(high, bands, rows) <= 1
    assert collision_probability(0.0, bands, rows) == 0
    assert collision_probability(1.0, bands, rows) == 1


def pair_of_similarity(shared: int, own: int, pair: int) -> list[str]:
    """Two texts of words that no other pair has: `shared` in common and `own` each, so J = s / (s + 2 o)."""
    common = [f"c{pair}_{i}" for i in range(shared)]
    return [" ".join(common + [f"{side}{pair}_{i}" for i in range(own)]) for side in "lr"]


@pytest.mark.parametrize(("bands", "rows"), [(14, 9), (16, 128)])
@pytest.mark.parametrize(("shared", "own"), [(60, 20), (150, 25), (180, 10), (390, 5), (400, 2), (200, 0)])
def test_recall_follows_theory(bands, rows, shared, own):
    """Of pairs of known similarity, as many share a band as the curve says, within five standard errors."""
    num_pairs = 300
    texts = [text for pair in range(num_pairs) for text in pair_of_similarity(shared, own, pair)]
    keys = band_keys(MinHasher(bands * rows, ngram=1).signatures(pa.array(texts))[0], bands, rows)
    found = (keys[0::2] == keys[1::2]).any(axis=1).mean()
    expected = collision_probability(shared / (shared + 2 * own), bands, rows)
    assert abs(found - expected) <= 5 * (expected * (1 - expected) / num_pairs) ** 0.5


def test_unrelated_documents_share_no_band():
    """Not one of 44 850 pairs of documents without a word in common is a candidate."""
    texts = [pair_of_similarity(0, 50, pair)[0] for pair in range(300)]
    keys = band_keys(MinHasher(126, ngram=1).signatures(pa.array(texts))[0], 14, 9)
    assert all(len(np.unique(keys[:, band])) == len(texts) for band in range(14))
