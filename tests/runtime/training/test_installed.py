"""What is found of a training environment, here, in a process of its own."""

from __future__ import annotations

import importlib.metadata
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.runtime.training import installed

LOOK = """
import json
from runtime.training.installed import look
print(json.dumps(look(load_nemo={})))
"""


def test_torch_is_looked_at_where_the_node_is_to_train() -> None:
    """Its version is the one that is installed; without a device the kernels are portable."""
    said = installed.answer(LOOK.format(True))
    torch = said["torch"]
    assert (torch["version"], torch["error"]) == (importlib.metadata.version("torch"), "")
    assert said["kernels"]["chosen"] == "portable" or torch["devices"]


def test_nemo_that_hides_its_errors_is_found_out(tmp_path: Path) -> None:
    """Where modelopt is missing, `nemo.collections.llm` is imported and has no `pretrain`."""
    llm = tmp_path / "nemo" / "collections" / "llm"
    llm.mkdir(parents=True)
    for directory in (llm.parents[1], llm.parent, llm):
        (directory / "__init__.py").write_text("")
    facts = tmp_path / "nemo_toolkit-2.7.3.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: nemo-toolkit\nVersion: 2.7.3\n")
    said = installed.answer(LOOK.format(True), tmp_path)
    assert (said["versions"]["nemo-toolkit"], said["nemo"]) == ("2.7.3", "nemo.collections.llm has no pretrain")
    (llm / "__init__.py").write_text("import apex")
    said = installed.answer(LOOK.format(True), installed.empty(tmp_path))
    assert said["nemo"].startswith("ModuleNotFoundError: import of apex halted"), "it is hidden before NeMo is loaded"
    assert installed.answer(LOOK.format(False), tmp_path)["nemo"] is None


@pytest.mark.slow
@pytest.mark.skipif(find_spec("nemo") is None, reason="needs the training environment: nemo-toolkit")
def test_the_pinned_nemo_can_pretrain() -> None:
    """The lock of the training environment holds what `llm.pretrain` needs."""
    said = installed.answer(LOOK.format(True))
    assert said["versions"] == {"megatron-core": "0.15.3", "nemo-toolkit": "2.7.3"}
    assert said["nemo"] == ""
