"""Evaluations: what is measured, and after which stages."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ocspec.base import Bytes, Spec, Tokens, Unit
from ocspec.sources import Name


class Evaluation(Spec):
    """Base of evaluations. Empty `stages` means after every stage."""

    abstract: ClassVar[bool] = True
    change_class = "eval"

    name: Name = Field(description="What reports call it.")
    stages: tuple[Name, ...] = Field(default=(), description="After which stages; empty: after every one.")


class BitsPerByte(Evaluation):
    """Bits per UTF-8 byte on the held-out repositories, per language.

    With `ngram_order`, a byte n-gram model trained on the same tokens stands beside it as a yardstick.
    """

    name: Name = Field(default="bits_per_byte", description="What reports call it.")
    languages: tuple[str, ...] = Field(default=(), description="Languages to score; empty: all.")
    max_bytes: Bytes = Field(default=0, ge=0, description="Bytes to score, a seeded sample; 0: all.")
    ngram_order: Annotated[int, Unit("bytes")] | None = Field(
        default=5, ge=1, le=7, description="Longest n-gram of the yardstick; None: no yardstick."
    )
    seed: int = Field(default=0, description="Chooses the sample.")


class Benchmark(Evaluation):
    """A generation benchmark, greedy and one sample unless said otherwise (OpenCoder 5)."""

    abstract: ClassVar[bool] = True

    shots: int = Field(default=0, ge=0, description="Solved examples in the prompt.")
    temperature: float = Field(default=0.0, ge=0, description="Of sampling; 0: greedy.")
    samples: int = Field(default=1, ge=1, description="Answers per problem.")
    max_new_tokens: Tokens = Field(default=512, gt=0, description="Longest answer.")


class HumanEval(Benchmark):
    """HumanEval and HumanEval+, 0-shot."""

    name: Name = Field(default="humaneval", description="What reports call it.")


class MBPP(Benchmark):
    """MBPP and MBPP+, 3-shot."""

    name: Name = Field(default="mbpp", description="What reports call it.")
    shots: int = Field(default=3, ge=0, description="Solved examples in the prompt.")


class BigCodeBench(Benchmark):
    """BigCodeBench, full and hard."""

    name: Name = Field(default="bigcodebench", description="What reports call it.")
    prompt: Literal["complete", "instruct"] = Field(
        default="complete", description="complete: a docstring, for base models; instruct: a request."
    )


class LiveCodeBench(Benchmark):
    """LiveCodeBench, problems of a window of months."""

    name: Name = Field(default="livecodebench", description="What reports call it.")
    window: str = Field(
        default="2305-2409", pattern=r"^\d{4}-\d{4}$", description="First and last month, as yymm-yymm."
    )


class MultiPLE(Benchmark):
    """HumanEval translated by MultiPL-E."""

    name: Name = Field(default="multipl_e", description="What reports call it.")
    languages: tuple[str, ...] = Field(
        default=("python", "java", "cpp", "csharp", "typescript", "javascript", "php", "shell"),
        min_length=1,
        description="Languages that the problems are translated to.",
    )


class McEval(Benchmark):
    """McEval: 40 languages."""

    name: Name = Field(default="mceval", description="What reports call it.")


class MdEval(Benchmark):
    """MdEval: debugging in 18 languages."""

    name: Name = Field(default="mdeval", description="What reports call it.")


class CodeArena(Benchmark):
    """CodeArena: win rate against a reference model, judged by a model."""

    name: Name = Field(default="codearena", description="What reports call it.")
    judge: str = Field(default="gpt-4", min_length=1, description="The model that compares two answers.")
