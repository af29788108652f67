"""Decontamination as operators want it, of data and of instruction pairs alike. Not a pass of its own."""

from __future__ import annotations

from typing import Any

from compiler import ir
from compiler.draft import Draft
from compiler.passes.resolve import content_digest
from ocspec.refinement import Decontaminate
from ocspec.testsets import TestSet


def lower_decontamination(draft: Draft, step: Decontaminate) -> dict[str, Any]:
    """The fields that `ir.Decontaminate` and `ir.DecontaminatePairs` share; order in the spec means nothing."""
    return {
        "benchmarks": tuple(
            _test_set(draft, benchmark)
            for benchmark in sorted(step.benchmarks, key=lambda benchmark: benchmark.identity_name)
        ),
        "ngram": step.ngram,
        "entry_points": step.entry_points,
        "entry_point_parts": step.entry_point_parts,
        "template_items": step.template_items,
        "stop_phrases": tuple(sorted(set(step.stop_phrases))),
        "numbers": step.numbers,
    }


def _test_set(draft: Draft, benchmark: TestSet) -> ir.TestSet:
    fields = benchmark.model_dump(exclude={"path", "declared", "name", "aka"})
    return ir.TestSet(
        name=benchmark.identity_name, **fields, digest=content_digest(draft, benchmark), location=benchmark.path
    )
