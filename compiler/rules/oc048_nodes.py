"""OC048: tensor parallelism stays within a node."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.trainjob import DEVICES_PER_NODE


def find(draft: Draft) -> Iterator[UserError]:
    """Tensor-parallel groups that do not fit the devices of a node, as the profile or eight by default says."""
    asked = draft.profile.settings("train").gpus_per_node if draft.profile else None
    node = asked or DEVICES_PER_NODE
    for stage in draft.experiment.curriculum.stages:
        tensor = stage.parallelism.tensor
        if tensor > node or (stage.parallelism.devices > node and node % tensor):
            yield draft.error(
                stage,
                f"{stage.name!r}: tensor {tensor} does not fit whole into nodes of {node} devices"
                f"{f' (profile {draft.profile.name!r})' if draft.profile and asked else ''}",
                f"lower tensor to a divisor of {node}, and split layers with pipeline",
            )


RULE = Rule(
    "OC048",
    "nodes",
    "Every layer of every micro batch would wait for the network.",
    find,
    severity="warning",
    teach="""\
Tensor parallelism exchanges activations twice a layer in each direction, which needs the links inside a node;
pipeline and data parallelism exchange less, and seldom. Narayanan et al. (2021, arXiv 2104.04473, section 3, takeaway
1) measured it: tensor parallelism up to the devices of a node, pipelines beyond. A group of 16 on nodes of 8 trains
correctly and at a fraction of the speed, and a group of 3 on nodes of 8 lies across a border in every third node. In
marin #4898 a group of 32 ranks even had more ranks than the model had heads.
""",
)
