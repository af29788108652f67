"""What a training environment has, for `ocspec doctor`: torch, kernels, Megatron and NeMo. It looks and judges nothing.

Not what a job takes: that is decided when it starts, by `kernels.choose`.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import Any

from runtime.training import kernels

WRITTEN_FOR = {"megatron-core": "0.15.3", "nemo-toolkit": "2.7.3"}
"""Distributions that back ends use, and the versions that they are written for and tested with."""


def look(*, load_nemo: bool) -> dict[str, Any]:
    """Everything as plain data; errors are texts.

    `load_nemo` imports `nemo.collections.llm` where NeMo is installed, which takes up to a minute and about 1 GB: some
    of what it lacks shows only then. It is done as in a job, with an unusable apex hidden.
    """
    found = kernels.probe()
    torch = _torch() if load_nemo or any(module.state != "absent" for module in found.modules) else {}
    choice = kernels.choose("auto", found, "cuda" if torch.get("devices") else "cpu")
    versions = {name: _version(name) for name in WRITTEN_FOR}
    tried = None
    if load_nemo and versions["nemo-toolkit"]:
        kernels.hide_unusable_apex(found)
        tried = _nemo()
    return {"torch": torch, "kernels": choice.describe(), "versions": versions, "nemo": tried}


def _torch() -> dict[str, Any]:
    """Version, the CUDA version that it was built for, and its devices as "name (compute capability)"."""
    try:
        import torch
    except Exception as error:  # whatever it says is the answer
        return {"version": "", "cuda": None, "devices": [], "error": f"{type(error).__name__}: {error}"[:300]}
    cuda = torch.cuda
    devices = [
        f"{cuda.get_device_name(number)} ({'.'.join(map(str, cuda.get_device_capability(number)))})"
        for number in range(cuda.device_count())
    ]
    return {"version": torch.__version__, "cuda": torch.version.cuda, "devices": devices, "error": ""}


def _version(distribution: str) -> str:
    """The installed version, empty where it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _nemo() -> str:
    """Why NeMo cannot pretrain here; empty where it can. It hides errors of its own: `pretrain` is missing then."""
    try:
        llm = import_module("nemo.collections.llm")
    except Exception as error:  # whatever it says is the answer
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]
    return "" if hasattr(llm, "pretrain") else "nemo.collections.llm has no pretrain"
