"""Quality rules as plain data: which signal, compared how, drops a document.

Not the signals: `runtime.data.signals` computes them. This module names them with their ranges, so that the
compiler can refuse a misspelt signal or a threshold that can never be crossed without loading the runtime.

The thresholds of DEFAULT_RULES are those of the code published with OpenCoder (arXiv 2411.04905, Appendix A;
repository OpenCoder-llm/opc_data_filtering, pipeline/code_filter_config.py), which holds the paper's complete
list. Where a rule departs from the published one, NOTES says how.
"""

from __future__ import annotations

from compiler.quality_rules.expression import ExpressionRule
from compiler.quality_rules.general import GENERAL_NOTES, GENERAL_RULES
from compiler.quality_rules.languages import LANGUAGE_NOTES, LANGUAGE_RANGES, LANGUAGE_RULES
from compiler.quality_rules.natural import NATURAL_NOTES, NATURAL_RULES
from compiler.quality_rules.ranges import GENERAL_RANGES
from compiler.quality_rules.rule import Comparison, QualityRule

# Every signal that a rule can name.
SIGNAL_RANGES: dict[str, tuple[float, float]] = {**GENERAL_RANGES, **LANGUAGE_RANGES}

# In this order: the first rule that a document fails is the one that is written down for it. What needs the
# syntax tree comes last, so that a document dropped before is never parsed.
DEFAULT_RULES: tuple[QualityRule, ...] = GENERAL_RULES + NATURAL_RULES + LANGUAGE_RULES

# Where a rule departs from the published code, as text by the rule's name.
NOTES: dict[str, str] = {**GENERAL_NOTES, **NATURAL_NOTES, **LANGUAGE_NOTES}

__all__ = ["DEFAULT_RULES", "NOTES", "SIGNAL_RANGES", "Comparison", "ExpressionRule", "QualityRule"]
