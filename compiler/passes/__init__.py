"""The passes: spec -> draft -> plan, each a pure function in a file of its own name.

Reading this tuple is reading the compiler. A pass may rely on all that stand before it.
"""

from __future__ import annotations

from collections.abc import Callable

from compiler.draft import Draft
from compiler.passes.budget import budget
from compiler.passes.check import check
from compiler.passes.fingerprint import fingerprint
from compiler.passes.lower_data import lower_data
from compiler.passes.lower_evaluation import lower_evaluation
from compiler.passes.lower_tokens import lower_tokens
from compiler.passes.lower_training import lower_training
from compiler.passes.place import place
from compiler.passes.resolve import resolve
from compiler.passes.schedule import schedule
from compiler.passes.share import share

Pass = Callable[[Draft], Draft]

PASSES: tuple[Pass, ...] = (
    resolve,  # look at the sources: sizes and digests
    check,  # all compile-time rules; every problem is listed
    lower_data,  # data sets -> fetch, sign, deduplicate, refine, select
    lower_tokens,  # tokenizer, encoded and packed data sets
    lower_training,  # stages -> mixtures and training jobs
    lower_evaluation,  # measurements after stages
    share,  # tasks that are the same become one
    place,  # shards, resources and SQL text
    budget,  # tokens, steps, FLOPs and the collision curves as plain numbers
    schedule,  # topological order
    fingerprint,  # identity of every task
)
