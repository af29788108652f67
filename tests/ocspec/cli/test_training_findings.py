"""What is said of a training environment: what this interpreter has, changed in one place at a time."""

from __future__ import annotations

from typing import Any

import pytest

from ocspec.cli.findings import Finding
from ocspec.cli.training_findings import findings
from runtime.training import apex_package
from runtime.training.kernels import AMP, CALLED, TE, WGRAD, Found, Module, choose

H200 = {"version": "2.13.0+cu130", "cuda": "13.0", "devices": ["NVIDIA H200 (9.0)"], "error": ""}
RIGHT = {"megatron-core": "0.15.3", "nemo-toolkit": "2.7.3"}
NVIDIAS = apex_package.Package("/x/apex", is_nvidias=True, version="0.1")


def said(
    *loads: str, fails: str = "", apex: apex_package.Package | None = NVIDIAS, device: str = "cuda", **other: Any
) -> dict[str, Finding]:
    """As if these modules load, one fails and the others are absent."""
    states: dict[str, Any] = dict.fromkeys(loads, "loads") | {fails: "fails"}
    modules = tuple(
        Module(name, states.get(name, "absent"), reason="it is broken" if name == fails else "") for name in CALLED
    )
    kernels = choose("auto", Found(modules, apex), device).describe()
    found = {"torch": H200, "kernels": kernels, "versions": RIGHT, "nemo": "", "error": "", **other}
    return {finding.what: finding for finding in findings(found)}


def test_a_node_that_has_everything() -> None:
    """Every line is well, and says what is there."""
    found = said(TE, AMP, WGRAD)
    assert {finding.verdict for finding in found.values()} == {"ok"}
    assert found["torch"].found == "2.13.0+cu130 built for CUDA 13.0, NVIDIA H200 (9.0)"
    assert "Transformer Engine loads" in found["kernels"].found
    assert found["nemo-toolkit"].found == "2.7.3, which can pretrain"


@pytest.mark.parametrize(
    ("found", "what", "verdict", "words"),
    [
        (said(apex=None), "kernels", "absent", "neither Transformer Engine nor NVIDIA Apex; stages with kernels="),
        (said(AMP, WGRAD, device="cpu"), "kernels", "absent", "without a CUDA device"),
        (said(fails=AMP), "kernels", "missing", "amp_C fails it is broken"),
        (said(AMP, WGRAD, fails=TE), "kernels", "absent", "optimizer loads"),
        (said(), "apex", "absent", "without its kernels"),
        (said(apex=apex_package.Package("/y", is_nvidias=False)), "apex", "absent", "is not NVIDIA's Apex"),
        (said(versions={**RIGHT, "megatron-core": "0.16.1"}), "megatron-core", "absent", "0.16.1; stages with"),
        (said(versions={**RIGHT, "megatron-core": ""}), "megatron-core", "absent", "not installed"),
        (said(versions={**RIGHT, "nemo-toolkit": "3.0.0"}), "nemo-toolkit", "absent", "it is for speech"),
        (said(versions={**RIGHT, "nemo-toolkit": ""}, nemo=None), "nemo-toolkit", "absent", "not installed"),
        (said(nemo="ImportError: no api.v1"), "nemo-toolkit", "missing", "2.7.3: ImportError: no api.v1"),
        (said(nemo=None), "nemo-toolkit", "ok", "2.7.3"),
        (said(error="No module named 'attrs'"), "kernels", "missing", "pip install"),
    ],
)
def test_what_is_not_there_limits_and_what_is_broken_is_a_fault(
    found: dict[str, Finding], what: str, verdict: str, words: str
) -> None:
    """Each with what to do."""
    assert found[what].verdict == verdict
    assert words in f"{found[what].found}; {found[what].fix}"
