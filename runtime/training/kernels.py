"""Which fused kernels a training job takes: what loads on this machine, what the job asks for, and why.

Not a kernel and not an installer (`scripts/build_apex.sh` builds NVIDIA Apex). A kernel counts when its compiled
module loads and has the function that is called; that a package of some name is there says nothing, see
`apex_package.py`. What is said of Megatron is read in the source of megatron-core 0.15.3, which tries Transformer
Engine first everywhere, then Apex, then torch.

Loads the standard library and attrs. Torch is loaded by `probe`, and only where there is a module that links to it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any, Literal

import attrs

from compiler.errors import UserError
from compiler.trainjob import Kernels
from runtime.training import apex_package

TE = "transformer_engine.pytorch"
AMP, WGRAD, LAYER_NORM = "amp_C", "fused_weight_gradient_mlp_cuda", "fused_layer_norm_cuda"
SOFTMAX = ("scaled_upper_triang_masked_softmax_cuda", "scaled_masked_softmax_cuda")
CALLED = {
    TE: "Linear",
    AMP: "multi_tensor_adam",
    WGRAD: "wgrad_gemm_accum_fp32",
    LAYER_NORM: "rms_forward_affine",
    SOFTMAX[0]: "forward",
    SOFTMAX[1]: "get_batch_per_block",
    "flash_attn": "flash_attn_func",
}
"""The modules that are probed, and in each a function that would be called: an empty directory can be imported, too."""

BUILD = "build NVIDIA Apex with scripts/build_apex.sh (docs/how-to/apex.md)"
INSTALL = f"install Transformer Engine or {BUILD}, or set kernels to auto"


@attrs.frozen
class Module:
    """One compiled module: `loads`, or `fails` when imported though it is there, or is `absent`; and why."""

    name: str
    state: Literal["loads", "fails", "absent"]
    version: str = ""
    reason: str = ""

    def __str__(self) -> str:
        if self.state == "loads":
            return f"{self.name} {self.version}".strip()
        return f"{self.name} is absent" if self.state == "absent" else f"{self.name} fails: {self.reason}"


@attrs.frozen
class Found:
    """What is there: the modules in the order of `CALLED`, and the package called apex, if there is any."""

    modules: tuple[Module, ...]
    apex: apex_package.Package | None = None

    def module(self, name: str) -> Module:
        """One of the modules that were probed."""
        return next(module for module in self.modules if module.name == name)

    def loads(self, name: str) -> bool:
        """Whether a module can be used."""
        return self.module(name).state == "loads"

    @property
    def has_apex_optimizer(self) -> bool:
        """Whether Apex's FusedAdam works: its Python part and the kernels that it calls."""
        return self.apex is not None and self.apex.is_nvidias and self.loads(AMP)


@attrs.frozen(kw_only=True)
class KernelChoice:
    """What a job takes. `given_up` says in words what it goes without, `hidden` which packages no one shall import.

    The fields between are settings of Megatron, or say which of its implementations it will find.
    """

    asked: Kernels
    chosen: Literal["fused", "portable"]
    reason: str
    gradient_accumulation_fusion: bool
    masked_softmax_fusion: bool
    fused_adam: Literal["transformer_engine", "apex", "torch"]
    transformer_engine: bool
    given_up: tuple[str, ...]
    hidden: tuple[str, ...]
    found: Found

    def describe(self) -> dict[str, Any]:
        """For log/environment.json and the manifest."""
        return {
            "asked": self.asked,
            "chosen": self.chosen,
            "reason": self.reason,
            "gradient_accumulation_fusion": self.gradient_accumulation_fusion,
            "masked_softmax_fusion": self.masked_softmax_fusion,
            "fused_adam": self.fused_adam,
            "transformer_engine": self.transformer_engine,
            "given_up": list(self.given_up),
            "hidden": list(self.hidden),
            "modules": {one.name: " ".join(filter(None, attrs.astuple(one)[1:])) for one in self.found.modules},
            "impostor": impostor(self.found),
        }


def probe() -> Found:
    """Import each of the modules in this process. Nothing raises: what fails says why."""
    return Found(tuple(_try(name, called) for name, called in CALLED.items()), apex_package.find())


def _try(name: str, called: str) -> Module:
    top = name.partition(".")[0]
    try:
        if find_spec(top) is None:
            return Module(name, "absent")
        if find_spec("torch") is not None:
            import_module("torch")  # extensions link to its libraries and cannot be loaded before it
        module = import_module(name)
    except Exception as error:  # whatever a library says while it is imported is the answer
        return Module(name, "fails", reason=" ".join(f"{type(error).__name__}: {error}".split())[:300])
    if not hasattr(module, called):
        return Module(name, "fails", reason=f"it has no {called}: {getattr(module, '__file__', None) or 'empty'}")
    return Module(name, "loads", _version(top))


def _version(top: str) -> str:
    """The version of the distribution that a module came with; empty where nothing says."""
    if version := getattr(sys.modules[top], "__version__", ""):
        return str(version)
    names = metadata.packages_distributions().get(top, [])
    return metadata.version(names[0]) if names else ""


def choose(asked: Kernels, found: Found, device: str) -> KernelChoice:
    """What to take of `found` for a job on a `device` of torch's type ("cuda", "cpu"), which the caller has chosen.

    `fused` wants CUDA and Transformer Engine or Apex's optimizer and weight gradient, and raises UserError without;
    `portable` takes nothing; `auto` takes what is there.

    The weight gradient is added up in the matrix product only where Apex's module loads, Transformer Engine or not:
    the output layer of GPTModel is Megatron's own, and refuses to be built without it. Likewise the softmax of
    Megatron's own attention imports Apex's modules at the first step.
    """
    if asked == "fused":
        _require(found, device)
    takes = asked != "portable" and device == "cuda"
    engine, optimizer = takes and found.loads(TE), takes and found.has_apex_optimizer
    wgrad = takes and found.loads(WGRAD)
    softmax = takes and not engine and all(found.loads(name) for name in SOFTMAX)
    fused = engine or optimizer or wgrad or softmax
    return KernelChoice(
        asked=asked,
        chosen="fused" if fused else "portable",
        reason=f"{asked}: {_reason(asked, found, device, (engine, optimizer, wgrad, softmax))}",
        gradient_accumulation_fusion=wgrad,
        masked_softmax_fusion=softmax,
        fused_adam="transformer_engine" if engine else "apex" if optimizer else "torch",
        transformer_engine=engine,
        given_up=tuple(_given_up(engine, optimizer, wgrad, softmax)),
        hidden=tuple(_hidden(found, fused)),
        found=found,
    )


def _require(found: Found, device: str) -> None:
    if device != "cuda":
        raise UserError(
            f"kernels are to be fused, and the job runs on {device}: they run on CUDA devices only",
            fix="run it where torch.cuda.is_available(), or set kernels to auto or portable",
        )
    if found.loads(TE) or (found.has_apex_optimizer and found.loads(WGRAD)):
        return
    lacking = [str(found.module(name)) for name in (TE, AMP, WGRAD) if not found.loads(name)]
    raise UserError(
        "kernels are to be fused, and neither Transformer Engine nor NVIDIA Apex is whole: "
        + "; ".join(filter(None, [*lacking, impostor(found) or _without_python(found)])),
        fix=INSTALL,
    )


def _without_python(found: Found) -> str:
    return "there is no Python package apex beside amp_C" if found.apex is None and found.loads(AMP) else ""


def _reason(asked: Kernels, found: Found, device: str, taken: tuple[bool, ...]) -> str:
    if asked == "portable":
        return "the job wants the same kernels everywhere"
    if device != "cuda":
        return f"fused kernels run on CUDA devices, and this is {device}"
    texts = (
        f"Transformer Engine loads ({found.module(TE)})",
        f"NVIDIA Apex's optimizer loads ({found.module(AMP)})",
        f"NVIDIA Apex's weight gradient loads ({found.module(WGRAD)})",
        "NVIDIA Apex's softmax loads",
    )
    loaded = [text for text, one in zip(texts, taken, strict=True) if one]
    return "; ".join(loaded or [str(module) for module in found.modules if module.name in {TE, AMP, WGRAD}])


def _given_up(engine: bool, optimizer: bool, wgrad: bool, softmax: bool) -> Iterator[str]:
    if not engine:
        yield "Transformer Engine's layers: norm and projection in one kernel, attention without a matrix of scores"
    if not wgrad:
        yield "weight gradients added up inside the matrix product: each is a tensor of its own, then added"
    if not (engine or softmax):
        yield "scaling, mask and softmax of the scores in one kernel"
    if not (engine or optimizer):
        yield "AdamW and the gradient's norm in one kernel over all tensors: torch's AdamW, and a loop for the norm"


def _hidden(found: Found, fused: bool) -> Iterator[str]:
    """Megatron decides by itself, while it is imported, so what is not taken must not be importable."""
    if found.apex is not None and (not fused or impostor(found)):
        yield "apex"
    if found.module(TE).state != "absent" and not (fused and found.loads(TE)):
        yield "transformer_engine"


def impostor(found: Found) -> str | None:
    """Names a package called apex that cannot do what Megatron takes it for, and says what to do; None: all is well."""
    if found.apex is None or found.has_apex_optimizer:
        return None
    if found.apex.is_nvidias:
        return f"{found.apex} is NVIDIA's Apex without its kernels ({found.module(AMP)}): {BUILD}"
    return f"{found.apex} is not NVIDIA's Apex: uninstall it or take it off the path, and {BUILD}"


def hide_unusable_apex(found: Found) -> str:
    """Make `import apex` raise ImportError in this process if it is an impostor; a line for the log, or nothing.

    Call it before Megatron or NeMo is imported: they decide then. A process that this one starts anew decides again.
    """
    said = impostor(found)
    if said is None:
        return ""
    apex_package.hide("apex")
    return f"hidden from this job: {said}"


def hide_not_taken(choice: KernelChoice) -> tuple[str, ...]:
    """Make what the choice does not take raise ImportError in this process; lines for the log.

    It does what `hide_unusable_apex` does, too. Call it before Megatron or NeMo is imported.
    """
    said = impostor(choice.found)
    for package in choice.hidden:
        apex_package.hide(package)
    return tuple(
        f"hidden from this job: {said if package == 'apex' and said else f'{package}, which is not taken'}"
        for package in choice.hidden
    )
