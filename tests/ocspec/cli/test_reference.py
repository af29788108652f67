"""docs/reference/cli.md says what the parser says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parents[3] / "scripts" / "make_cli_reference.py"


def test_the_reference_is_up_to_date() -> None:
    """If this fails, run the script."""
    loader = importlib.util.spec_from_file_location("make_cli_reference", SCRIPT)
    assert loader is not None and loader.loader is not None
    module = importlib.util.module_from_spec(loader)
    loader.loader.exec_module(module)
    assert module.PAGE.read_text() == module.page()
