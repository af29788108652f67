"""Experiment: the whole recipe as one object, and the loading of spec files."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from ocspec.base import DOC, EXECUTION, Bytes, Spec, distinct_identities
from ocspec.evaluation import Evaluation
from ocspec.mixture import Dataset, HoldOut
from ocspec.model import Tokenizer, Transformer
from ocspec.refinement import GB, Decontaminate
from ocspec.sources import Name, Source
from ocspec.training import Curriculum


class Experiment(Spec):
    """Data, tokenizer, model, curriculum and measurement. A spec file defines at least one."""

    name: Name = Field(description="What plans and reports call it.")
    data: tuple[Dataset, ...] = Field(min_length=1, description="Data sets that mixtures name.")
    tokenizer: Tokenizer = Field(description="How text becomes tokens.")
    model: Transformer = Field(description="What is trained.")
    curriculum: Curriculum = Field(description="How it is trained.")
    instructions: tuple[Source, ...] = Field(default=(), description="Pairs that fine-tuning stages name.")
    decontaminate_instructions: Decontaminate | None = Field(
        default=None, description="Applied to all instruction pairs (OpenCoder 4.3: to nothing else)."
    )
    hold_out: HoldOut | None = Field(default=None, description="Repositories kept for measuring.")
    evaluations: tuple[Evaluation, ...] = Field(default=(), description="What is measured.")
    shards: Annotated[int | None, EXECUTION] = Field(
        default=None, ge=1, description="Shards of every data task; None: as many as the bytes of its data set need."
    )
    shard_bytes: Annotated[Bytes, EXECUTION] = Field(default=GB, gt=0, description="Text that one shard reads.")
    note: Annotated[str, DOC] = Field(default="", description="Free text; it changes nothing.")

    @field_validator("data", "instructions", "evaluations")
    @classmethod
    def _distinct(cls, specs: tuple[Spec, ...]) -> tuple[Spec, ...]:
        keys = [spec.key for spec in specs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise ValueError(f"named twice: {', '.join(twice)}; fix: give each its own name")
        return specs

    @field_validator("data", "instructions")
    @classmethod
    def _distinct_before(cls, specs: tuple[Any, ...]) -> tuple[Any, ...]:
        return distinct_identities(specs)
