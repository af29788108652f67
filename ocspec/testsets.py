"""Test sets: where the items of benchmarks lie and which of their fields count, so that data can be searched for them.

Not the benchmarks as evaluations: those are in `ocspec.evaluation`. A test set names files; it does not read them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ocspec.base import EXECUTION, Spec
from ocspec.sources import AKA, Declared, FormerName, Name


class TestSet(Spec):
    """The items of one benchmark, in JSON Lines (also .gz) or Parquet: one row, one item.

    For known benchmarks there is a constructor each, which takes any field as a keyword beside the path:

    >>> TestSet.mbpp("${CORPUS}/benchmarks/mbpp.jsonl.gz").texts
    ('text', 'code')
    >>> TestSet.humaneval("plus.jsonl.gz", name="humaneval_plus").name
    'humaneval_plus'
    """

    __test__ = False  # for pytest, which would collect a class of this name

    name: Name = Field(description="What the benchmark is called in plans and reports.")
    aka: FormerName = Field(default="", description=AKA)
    path: Annotated[str, EXECUTION] = Field(min_length=1, description="Files, with `*`, `~` and `${NAME}`.")
    format: Literal["jsonl", "parquet"] = Field(default="jsonl", description="How the files are written.")
    item: str = Field(default="task_id", min_length=1, description="Field that names an item; equal names are one.")
    texts: tuple[str, ...] = Field(min_length=1, description="Fields searched for, read as one text in this order.")
    entry_point: str = Field(default="", description="Field that holds the name of the function asked for.")
    defined_in: str = Field(default="", description="Without such a field: one whose last function is asked for ...")
    called_in: str = Field(default="", description="... and one that calls it, such as the tests.")
    first: int | None = Field(default=None, description="Least number of an item, the last digits of its name.")
    last: int | None = Field(default=None, description="Greatest number of an item.")
    declared: Declared | None = Field(default=None, description="Of files that cannot be seen from here.")

    @model_validator(mode="after")
    def _one_entry_point(self) -> TestSet:
        if self.entry_point and self.defined_in:
            raise ValueError("entry_point and defined_in are given; fix: give one of them")
        if self.called_in and not self.defined_in:
            raise ValueError("called_in stands without defined_in; fix: give defined_in=..., the field of a program")
        return self

    @classmethod
    def humaneval(cls, path: str, **fields: Any) -> TestSet:
        """HumanEval, HumanEval+ and, as EvalPlus writes it, MBPP+: prompt and solution."""
        texts = ("prompt", "canonical_solution")
        return cls(**{"name": "humaneval", "path": path, "texts": texts, "entry_point": "entry_point", **fields})

    @classmethod
    def mbpp(cls, path: str, **fields: Any) -> TestSet:
        """MBPP: text and code of tasks 11-510, its test split (1-10 are for prompts, 601-974 for training).

        The function asked for is the last one of `code` that the tests call. The sanitized file calls its texts
        ("prompt", "code").
        """
        names = {"defined_in": "code", "called_in": "test_list", "first": 11, "last": 510}
        return cls(**{"name": "mbpp", "path": path, "texts": ("text", "code"), **names, **fields})

    @classmethod
    def multipl_e(cls, path: str, **fields: Any) -> TestSet:
        """A language of MultiPL-E: prompts, which end in the head of the function asked for; it has no solutions."""
        names = {"item": "name", "texts": ("prompt",), "defined_in": "prompt"}
        return cls(**{"name": "multipl_e", "path": path, **names, **fields})

    @classmethod
    def mbxp(cls, path: str, **fields: Any) -> TestSet:
        """A language of MBXP, which is MBPP in other languages: prompt and, where there is one, solution."""
        texts = ("prompt", "canonical_solution")
        return cls(**{"name": "mbxp", "path": path, "texts": texts, "entry_point": "entry_point", **fields})

    @classmethod
    def bigcodebench(cls, path: str, **fields: Any) -> TestSet:
        """BigCodeBench: prompt and solution; all of its functions are called `task_func`."""
        texts = ("complete_prompt", "canonical_solution")
        return cls(**{"name": "bigcodebench", "path": path, "texts": texts, "entry_point": "entry_point", **fields})
