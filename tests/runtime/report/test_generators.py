"""Synthetic sources are named in the report, with what wrote them."""

from __future__ import annotations

from pathlib import Path

from ocspec import Dataset, Generator, Parquet
from ocspec.base import describe
from runtime.report.funnel import generators
from tests.runtime.conftest import tiny
from tests.runtime.report.small import small_plan


def test_what_wrote_a_source_stands_in_words(tmp_path: Path) -> None:
    """Of synthetic sources only; what is not known is left out."""
    wrote = Generator(model="Qwen2-72B-Instruct", seed_data="hqcode", temperature=0.7)
    sources = Parquet(name="people", path="a"), Parquet(name="model", path="b", generator=wrote)
    data = Dataset(name="mixed", sources=sources), Dataset(name="chosen", base="mixed")
    spec = describe(tiny(tmp_path).replace(data=data))
    assert generators(spec, "mixed") == {"model": "Qwen2-72B-Instruct; seed data: hqcode; temperature: 0.7"}
    assert generators(spec, "chosen") == {}
    assert generators(small_plan().spec, "code") == {}
