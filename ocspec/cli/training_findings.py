"""What a training environment's answer means: `runtime/training/installed.py` looked, here or on a node.

Nothing of it is needed by every stage: the torch back end trains without. So what is not there limits, and only what
is there and broken has to be put right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ocspec.cli.findings import Finding
from runtime.training.installed import WRITTEN_FOR

RECIPES = {"megatron-core": "docs/how-to/nemo.md", "kernels": "docs/how-to/apex.md"}
NEMO_3 = "from version 3 on it is for speech and trains no language models"


def findings(found: Mapping[str, Any]) -> Iterator[Finding]:
    """Torch where it was looked at, kernels, a package that calls itself apex, Megatron and NeMo."""
    if found["error"]:
        yield Finding("kernels", "missing", found["error"], "pip install 'ocspec[train]' into the profile's python")
        return
    if found["torch"] and not found["torch"]["error"]:
        yield _torch(found["torch"])
    yield _kernels(found["kernels"])
    if found["kernels"]["impostor"]:
        yield Finding("apex", "absent", found["kernels"]["impostor"], "until then jobs hide it from Megatron and NeMo")
    yield _megatron(found["versions"])
    yield _nemo(found["versions"]["nemo-toolkit"], found["nemo"])


def _torch(torch: Mapping[str, Any]) -> Finding:
    built = f"built for CUDA {torch['cuda']}" if torch["cuda"] else "built without CUDA"
    return Finding("torch", "ok", ", ".join([f"{torch['version']} {built}", *torch["devices"]]))


def _kernels(kernels: Mapping[str, Any]) -> Finding:
    """Some broken, or taken, or there without a device, or not there."""
    fused = kernels["chosen"] == "fused"
    broken = [f"{name} {state}" for name, state in kernels["modules"].items() if state.startswith("fails")]
    if broken:
        fix = f"install or build them again for this torch: {RECIPES['kernels']}"
        said = "; ".join([kernels["reason"], *broken] if fused else broken)
        return Finding("kernels", "absent" if fused else "missing", said, fix)
    if fused:
        return Finding("kernels", "ok", kernels["reason"])
    if there := [name for name, state in kernels["modules"].items() if state.startswith("loads")]:
        return Finding("kernels", "absent", f"{', '.join(there)} load, without a CUDA device to run on")
    fix = f'stages with kernels="fused" need one of them on the nodes: {RECIPES["kernels"]}'
    return Finding("kernels", "absent", "neither Transformer Engine nor NVIDIA Apex", fix)


def _megatron(versions: Mapping[str, str]) -> Finding:
    version, wanted = versions["megatron-core"], WRITTEN_FOR["megatron-core"]
    if version == wanted:
        return Finding("megatron-core", "ok", version)
    fix = f'stages with backend="megatron" or "nemo" need {wanted}: {RECIPES["megatron-core"]}'
    return Finding("megatron-core", "absent", version or "not installed", fix)


def _nemo(version: str, tried: str | None) -> Finding:
    """`tried` says why it cannot pretrain, empty where it can, None where it was not imported."""
    wanted = WRITTEN_FOR["nemo-toolkit"]
    fix = f'stages with backend="nemo" need {wanted}: {RECIPES["megatron-core"]}'
    if tried:
        return Finding("nemo-toolkit", "missing", f"{version}: {tried}", fix)
    if version != wanted:
        said = f"{version}; {NEMO_3}" if version and not version.startswith("2.") else version
        return Finding("nemo-toolkit", "absent", said or "not installed", fix)
    return Finding("nemo-toolkit", "ok", f"{version}, which can pretrain" if tried == "" else version)
