"""docs/reference/outputs.md shows what the verbs print."""

from __future__ import annotations

import importlib.util
import re

from tests.docs.conftest import ROOT


def test_what_verbs_print_is_up_to_date() -> None:
    """If this fails, and the new output is what it should be, run `make docs`."""
    loader = importlib.util.spec_from_file_location("make_outputs", ROOT / "scripts" / "make_outputs.py")
    assert loader is not None and loader.loader is not None
    module = importlib.util.module_from_spec(loader)
    loader.loader.exec_module(module)
    page = module.page()
    assert page == module.PAGE.read_text(encoding="utf-8")
    assert page.count("\n```bash\nocspec ") == len(module.SECTIONS)
    assert all(len(line) <= 80 for line in table_lines(page, 80) if "error: " not in line)
    assert not re.search(r"Traceback|outputs-|\d{4}-\d\d-\d\d", page)


def table_lines(page: str, width: int) -> list[str]:
    """The lines of plans and diffs at a width."""
    found = re.findall(
        rf"^At {width} columns:\n\n```text\n((?:task|\d+ changes).*?)^```", page, re.MULTILINE | re.DOTALL
    )
    assert len(found) == 3
    return [line for text in found for line in text.splitlines() if not line.startswith("  fix: ")]
