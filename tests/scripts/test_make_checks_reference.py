"""docs/reference/rules.md and the examples of `ocspec explain CODE` say what the rules and their fixtures say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

SCRIPT = Path(__file__).parents[2] / "scripts" / "make_checks_reference.py"


def script() -> ModuleType:
    """The script as a module."""
    loader = importlib.util.spec_from_file_location("make_checks_reference", SCRIPT)
    assert loader is not None and loader.loader is not None
    module = importlib.util.module_from_spec(loader)
    loader.loader.exec_module(module)
    return module


def test_the_page_and_the_examples_are_up_to_date() -> None:
    """If this fails, run the script, or `make docs`."""
    module = script()
    assert module.PAGE.read_text() == module.page()
    assert module.EXAMPLES.read_text() == module.examples_text()
