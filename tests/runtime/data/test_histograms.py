"""Histograms: bins that depend on the signal alone, and counts that add up over shards."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compiler.errors import UserError
from compiler.quality_rules import SIGNAL_RANGES
from runtime.data.histograms import Histograms, bin_of, edges


@pytest.mark.parametrize("signal", SIGNAL_RANGES)
def test_bins_cover_the_range_of_every_signal(signal):
    """From the lowest value on, ascending, few enough to be kept in a manifest."""
    bounds = edges(signal)
    assert bounds[0] == SIGNAL_RANGES[signal][0]
    assert list(bounds) == sorted(set(bounds)) and 20 < len(bounds) <= 42


@given(st.sampled_from(sorted(SIGNAL_RANGES)), st.floats(0, 1) | st.floats(0, 1e12) | st.just(math.inf))
def test_a_value_lies_in_its_bin(signal, value):
    """In [lower edge, upper edge), the last bin open above."""
    bounds, number = edges(signal), bin_of(signal, value)
    assert bounds[number] <= value
    assert value < bounds[number + 1] or number == len(bounds) - 2


def test_values_are_counted_by_signal_type_and_bin():
    """None is no value; bins are text, as JSON's keys are."""
    counts = Histograms()
    counts.add("code", {"num_lines": 12.0, "frac_chars_comments": None})
    counts.add("code", {"num_lines": 13.0, "frac_chars_comments": 1.0})
    counts.add("data", {"num_lines": 0.0})
    last = str(bin_of("frac_chars_comments", 1.0))
    assert counts.stats() == {
        "frac_chars_comments": {"code": {last: 1}},
        "num_lines": {"code": {str(bin_of("num_lines", 12.0)): 2}, "data": {"0": 1}},
    }


def test_a_name_that_is_no_signal_has_no_bins():
    """Whoever draws a manifest of another version gets a message, not a KeyError."""
    with pytest.raises(UserError, match="no such quality signal: num_line\n"):
        edges("num_line")
