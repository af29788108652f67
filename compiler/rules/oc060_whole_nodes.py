"""OC060: a job uses all devices of the nodes that it takes."""

from __future__ import annotations

from collections.abc import Iterator

from compiler.draft import Draft
from compiler.errors import UserError
from compiler.rules.base import Rule
from compiler.trainjob import DEVICES_PER_NODE


def find(draft: Draft) -> Iterator[UserError]:
    """Jobs of several nodes whose devices do not divide into whole ones."""
    asked = draft.profile.settings("train").gpus_per_node if draft.profile else None
    node = asked or DEVICES_PER_NODE
    for stage in draft.experiment.curriculum.stages:
        devices = stage.parallelism.devices
        if devices <= node or devices % node == 0:
            continue
        each = next(number for number in range(node, 0, -1) if devices % number == 0)
        nodes = devices // each
        yield draft.error(
            stage,
            f"{stage.name!r} has {devices} devices, which makes {nodes} nodes of {each}; a node has {node}, so that"
            f" {nodes * (node - each)} are idle or shared",
            f"use {devices // node * node} or {-(-devices // node) * node} devices",
        )


RULE = Rule(
    "OC060",
    "whole nodes",
    "Devices that no rank uses are paid for all the same, or shared with a stranger's job.",
    find,
    severity="warning",
    teach="""\
Ranks are spread evenly, as many on each node as divide the whole number: 9 devices on nodes of 8 are 3 nodes of 3,
and 15 devices are idle or belong to other jobs, whose traffic shares the links. torchrun and srun want the same
number of ranks on every node, so that there is no other way. OpenCoder's 256 and 512 GPUs are 32 and 64 whole nodes
of 8 (arXiv 2411.04905, section 3.2). A profile says with `gpus_per_node` how many a node of that cluster has; eight
is assumed.
""",
)
