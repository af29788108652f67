"""Compile-time rules: one per file, named by code. Each says what is wrong, with numbers, where, and how to fix it.

A rule reads the draft and yields problems; it changes nothing. Rules look only at what is known before anything runs.
"""

from __future__ import annotations

from compiler.draft import Draft
from compiler.findings import Finding
from compiler.rules import (
    oc001_names,
    oc002_step_order,
    oc003_budget,
    oc004_annealing,
    oc005_sequence_length,
    oc006_batch,
    oc007_heads,
    oc008_hold_out,
    oc009_rules,
    oc010_instructions,
    oc011_chunks,
    oc012_validation,
    oc013_back_end,
    oc014_sequence_split,
    oc015_tokenizer,
    oc016_sources,
    oc017_rounding,
    oc018_sums,
    oc019_units,
    oc020_epochs,
    oc021_unused,
    oc022_held_out_copies,
    oc023_hold_out_all,
    oc024_decontamination,
    oc025_test_data,
    oc026_conditions,
    oc027_sample,
    oc028_languages,
    oc029_collisions,
    oc030_repositories,
    oc031_columns,
    oc032_formats,
    oc033_twice,
    oc034_bytes_per_token,
    oc035_growth,
    oc036_samples,
)
from compiler.rules.base import Rule

RULES: tuple[Rule, ...] = (
    oc001_names.RULE,
    oc002_step_order.RULE,
    oc003_budget.RULE,
    oc004_annealing.RULE,
    oc005_sequence_length.RULE,
    oc006_batch.RULE,
    oc007_heads.RULE,
    oc008_hold_out.RULE,
    oc009_rules.RULE,
    oc010_instructions.RULE,
    oc011_chunks.RULE,
    oc012_validation.RULE,
    oc013_back_end.RULE,
    oc014_sequence_split.RULE,
    oc015_tokenizer.RULE,
    oc016_sources.RULE,
    oc017_rounding.RULE,
    oc018_sums.RULE,
    oc019_units.RULE,
    oc020_epochs.RULE,
    oc021_unused.RULE,
    oc022_held_out_copies.RULE,
    oc023_hold_out_all.RULE,
    oc024_decontamination.RULE,
    oc025_test_data.RULE,
    oc026_conditions.RULE,
    oc027_sample.RULE,
    oc028_languages.RULE,
    oc029_collisions.RULE,
    oc030_repositories.RULE,
    oc031_columns.RULE,
    oc032_formats.RULE,
    oc033_twice.RULE,
    oc034_bytes_per_token.RULE,
    oc035_growth.RULE,
    oc036_samples.RULE,
)


def check_all(draft: Draft) -> list[Finding]:
    """What all rules find in a draft whose sources were looked at, in the order of their codes."""
    return [finding for rule in RULES for finding in rule.check(draft)]
