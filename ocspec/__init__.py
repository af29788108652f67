"""ocspec: the language in which a code-LLM experiment is written.

Names are loaded when first used, so that `import ocspec` costs nothing to a command line that needs none of
them. Not the compiler and not the runtime: those are the packages `compiler` and `runtime`.
"""

# ruff: noqa: F401 - the imports below are for type checkers; at run time __getattr__ does them

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ocspec.base import DOC, EXECUTION, Spec, SpecError
    from ocspec.editing import REMOVED, edit
    from ocspec.evaluation import (
        MBPP,
        BigCodeBench,
        BitsPerByte,
        CodeArena,
        HumanEval,
        LiveCodeBench,
        McEval,
        MdEval,
        MultiPLE,
    )
    from ocspec.experiment import Experiment
    from ocspec.mixture import Dataset, HoldOut, Mixture, Part
    from ocspec.model import PretrainedTokenizer, TrainedBPE, Transformer
    from ocspec.refinement import (
        GB,
        MB,
        Admit,
        Decontaminate,
        Deduplicate,
        Downsample,
        Filter,
        MinHash,
        Redact,
        Rule,
        SelectKeywords,
    )
    from ocspec.sources import (
        Columns,
        Declared,
        Directory,
        FastText,
        FunctionPairs,
        Generator,
        Instructions,
        JsonLines,
        Package,
        Parquet,
        PyPI,
        WebRecall,
    )
    from ocspec.sweeping import sweep
    from ocspec.testsets import TestSet
    from ocspec.training import (
        WSD,
        AdamW,
        Anneal,
        Batches,
        Cosine,
        Curriculum,
        Decay,
        FineTune,
        Guard,
        Parallelism,
        Pretrain,
    )

_MODULES = {
    "base": "DOC EXECUTION Spec SpecError",
    "sources": "Columns Declared Directory FastText FunctionPairs Generator Instructions JsonLines Package Parquet PyPI"
    " WebRecall",
    "testsets": "TestSet",
    "refinement": "GB MB Admit Decontaminate Deduplicate Downsample Filter MinHash Redact Rule SelectKeywords",
    "mixture": "Dataset HoldOut Mixture Part",
    "model": "PretrainedTokenizer TrainedBPE Transformer",
    "training": "WSD AdamW Anneal Batches Cosine Curriculum Decay FineTune Guard Parallelism Pretrain",
    "evaluation": "MBPP BigCodeBench BitsPerByte CodeArena HumanEval LiveCodeBench McEval MdEval MultiPLE",
    "experiment": "Experiment",
    "editing": "REMOVED edit",
    "sweeping": "sweep",
}
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}

__version__ = "0.1.0"
__all__ = sorted(_HOME)  # noqa: PLE0605 - the names are those above, spelt out for type checkers


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ocspec' has no attribute {name!r}")
    return getattr(import_module(f"ocspec.{_HOME[name]}"), name)
