"""Components against a union-find in plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.data.components import connected_components

EDGES = st.integers(1, 12).flatmap(
    lambda n: st.tuples(st.just(n), st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=15))
)


def label(num_nodes: int, edges: list[tuple[int, int]]) -> list[int]:
    sides = np.array(edges, dtype=np.int64).reshape(-1, 2)
    return connected_components(num_nodes, sides[:, 0], sides[:, 1]).tolist()


def reference_labels(num_nodes: int, edges: list[tuple[int, int]]) -> list[int]:
    """Give both ends of each edge the smaller label until nothing changes."""
    labels = list(range(num_nodes))
    for _ in range(num_nodes):
        for left, right in edges:
            labels[left] = labels[right] = min(labels[left], labels[right])
    return labels


@settings(max_examples=200, deadline=None)
@given(EDGES)
def test_labels_are_the_smallest_node_of_each_component(graph):
    """On any graph, loops and repeated edges included."""
    num_nodes, edges = graph
    assert label(num_nodes, edges) == reference_labels(num_nodes, edges)


@settings(max_examples=50, deadline=None)
@given(EDGES, st.randoms(use_true_random=False))
def test_order_direction_and_repetition_do_not_matter(graph, random):
    """Edges arrive from shards in any order."""
    num_nodes, edges = graph
    shuffled = [edge[:: random.choice((1, -1))] for edge in edges + edges[:3]]
    random.shuffle(shuffled)
    assert label(num_nodes, shuffled) == label(num_nodes, edges)


def test_no_nodes_and_no_edges():
    """Nothing to join is no special case."""
    assert label(3, []) == [0, 1, 2]
    assert label(0, []) == []


def test_a_long_chain_is_one_component():
    """A chain of 100 000 near duplicates ends with one label, whatever the order of its links."""
    nodes = np.random.default_rng(0).permutation(100_000)
    labels = connected_components(100_000, nodes[:-1], nodes[1:])
    assert not labels.any()
    assert labels.dtype == np.int64


@pytest.mark.parametrize("times", [2, 256, 65_536])
def test_repeated_edges_do_not_cancel(times):
    """Edges found in many bands add up; the sum must not wrap around to none."""
    assert label(2, [(0, 1)] * times) == [0, 0]


@pytest.mark.parametrize(("left", "right"), [([0], [5]), ([-1], [0]), ([0, 1], [1])])
def test_edges_that_cannot_be_are_refused(left, right):
    """A node beyond the last, one before the first, a side that is missing."""
    with pytest.raises(ValueError, match=r"."):
        connected_components(5, np.array(left), np.array(right))
