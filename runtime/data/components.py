"""Connected components of the graph of near duplicates, by SciPy.

It chooses no survivor: which document of a component stays is a rule over stars, commit time and id, in SQL.
It holds the edges of one graph in memory, never content.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csgraph


def connected_components(
    num_nodes: int, left: npt.NDArray[np.int64], right: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """Label nodes 0 .. num_nodes - 1 by the smallest node of their component; edges are left[i] - right[i].

    The labels [num_nodes] do not depend on the order, direction or repetition of edges. Raises ValueError for
    an edge to a node that does not exist, and for sides of different lengths. At most 2**31 - 1 nodes.

    >>> connected_components(5, np.array([4, 2]), np.array([2, 1])).tolist()
    [0, 1, 1, 3, 1]
    """
    edges = coo_array((np.ones(len(left)), (left, right)), shape=(num_nodes, num_nodes))
    _, labels = csgraph.connected_components(edges, directed=False)
    _, smallest = np.unique(labels, return_index=True)
    components: npt.NDArray[np.int64] = smallest[labels]
    return components
