"""Which kernels a job takes: what is there is probed for real, in processes with directories put on their path."""

from __future__ import annotations

import itertools
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from compiler.errors import UserError
from runtime.training import apex_package
from runtime.training.kernels import AMP, CALLED, LAYER_NORM, SOFTMAX, TE, WGRAD, Found, Module, choose, impostor
from tests.runtime.training import installed

PROBE = """
import json, sys
from runtime.training import kernels
found = kernels.probe()
print(json.dumps({
    "modules": {module.name: [module.state, module.version, module.reason] for module in found.modules},
    "impostor": kernels.impostor(found),
    "adam": kernels.choose("auto", found, "cuda").fused_adam,
    "torch": "torch" in sys.modules,
    "imported": "apex" in sys.modules,
}))
"""
HIDE = """
import json, sys
from runtime.training import kernels
said = kernels.hide_unusable_apex(kernels.probe())
try:
    import apex
    after = "imported"
except ImportError as error:
    after = type(error).__name__
try:
    from apex.optimizers import FusedAdam
    deep = "imported"
except ImportError as error:
    deep = type(error).__name__
print(json.dumps([said, after, deep]))
"""
NVIDIAS = apex_package.Package("/x/apex", is_nvidias=True, version="0.1")


def found(*names: str, apex: apex_package.Package | None = None, fails: str = "") -> Found:
    """As if these modules load, one of the others fails, and the rest is absent."""
    states: dict[str, Any] = dict.fromkeys(names, "loads") | {name: "fails" for name in [fails] if name}
    return Found(tuple(Module(name, states.get(name, "absent")) for name in CALLED), apex)


def test_nothing_is_there_and_torch_is_not_loaded_for_it(tmp_path: Path) -> None:
    """Where no module could link to torch, looking costs no import of it."""
    said = installed.answer(PROBE, tmp_path)
    if any(state != "absent" for state, *_ in said["modules"].values()):
        pytest.skip("this environment has fused kernels")
    assert (said["torch"], said["impostor"], said["adam"]) == (False, None, "torch")


def test_modules_that_load_fail_or_are_empty_are_told_apart(tmp_path: Path) -> None:
    """One has its function, one lacks a library, one was built for another ABI, one is a mere directory."""
    installed.modules(tmp_path, [WGRAD, TE])
    (tmp_path / f"{AMP}.py").write_text("raise ImportError('libc10_cuda.so: cannot open\\nshared object file')")
    (tmp_path / LAYER_NORM).mkdir()
    (tmp_path / "flash_attn.py").write_text("1 / 0")
    modules = installed.answer(PROBE, tmp_path)["modules"]
    assert modules[WGRAD] == ["loads", "", ""]
    assert modules[TE] == ["loads", "2.9", ""]
    assert modules[AMP] == ["fails", "", "ImportError: libc10_cuda.so: cannot open shared object file"]
    assert modules[LAYER_NORM] == ["fails", "", "it has no rms_forward_affine: empty"]
    assert modules["flash_attn"] == ["fails", "", "ZeroDivisionError: division by zero"]


def test_transformer_engine_without_its_compiled_part_does_not_load(tmp_path: Path) -> None:
    """`import transformer_engine` works there, and is what Megatron asks."""
    (tmp_path / "transformer_engine").mkdir()
    (tmp_path / "transformer_engine" / "__init__.py").write_text("__version__ = '2.9'\n")
    state, _, reason = installed.answer(PROBE, tmp_path)["modules"][TE]
    assert state == "fails"
    assert "No module named 'transformer_engine.pytorch'" in reason


def test_the_package_of_pypi_is_named_and_not_imported(tmp_path: Path) -> None:
    """With what its own metadata says of it."""
    said = installed.answer(PROBE, installed.pypis(tmp_path))
    assert not said["imported"]
    assert said["adam"] == "torch"
    assert said["impostor"].startswith(
        f"apex 0.9.10.dev0 at {tmp_path}/apex ('Pyramid toolkit to add Velruse, Flash Messages and Sessions', "
        "http://apex.example) is not NVIDIA's Apex: uninstall it"
    )


def test_nvidias_python_files_without_the_kernels_are_no_apex(tmp_path: Path) -> None:
    """As pip leaves them without APEX_CUDA_EXT; FusedAdam would raise when it is made."""
    said = installed.answer(PROBE, installed.nvidias_python(tmp_path))
    assert "is NVIDIA's Apex without its kernels (amp_C is absent): build NVIDIA Apex" in said["impostor"]
    assert said["adam"] == "torch"


def test_nvidias_apex_with_its_kernels_is_taken(tmp_path: Path) -> None:
    """The whole of it; nothing is hidden."""
    installed.modules(installed.nvidias_python(tmp_path), [AMP])
    said = installed.answer(PROBE, tmp_path)
    assert (said["impostor"], said["adam"]) == (None, "apex")
    assert installed.answer(HIDE, tmp_path) == ["", "imported", "imported"]


@pytest.mark.parametrize("make", [installed.empty, installed.pypis, installed.nvidias_python])
def test_an_impostor_is_hidden_from_every_import(tmp_path: Path, make: Any) -> None:
    """Both ways in which Megatron asks for it raise ImportError, which it catches."""
    said, *after = installed.answer(HIDE, make(tmp_path))
    assert said.startswith("hidden from this job: apex")
    assert after == ["ModuleNotFoundError"] * 2


def test_a_directory_called_apex_is_an_impostor(tmp_path: Path) -> None:
    """As the checkout of Apex itself, seen from the directory above: Python imports it."""
    (tmp_path / "apex").mkdir()
    said, *after = installed.answer(HIDE, tmp_path)
    assert f"apex, which no distribution installed, at {tmp_path}/apex is not NVIDIA's" in said
    assert after == ["ModuleNotFoundError"] * 2


def test_hiding_comes_before_megatron(tmp_path: Path) -> None:
    """Once it has looked, hiding would leave a choice that the job does not follow."""
    code = """
import json, sys, types
from runtime.training import kernels
sys.modules["megatron.core.optimizer"] = types.ModuleType("megatron.core.optimizer")
try:
    kernels.hide_unusable_apex(kernels.probe())
    print("null")
except AssertionError as error:
    print(json.dumps(str(error)))
"""
    assert "megatron.core.optimizer is loaded" in installed.answer(code, installed.empty(tmp_path))


def test_transformer_engine_goes_before_apex_before_torch() -> None:
    """As in Megatron."""
    everything = found(TE, AMP, WGRAD, apex=NVIDIAS)
    assert choose("auto", everything, "cuda").fused_adam == "transformer_engine"
    apex = choose("auto", found(AMP, WGRAD, apex=NVIDIAS), "cuda")
    assert (apex.fused_adam, apex.transformer_engine, apex.gradient_accumulation_fusion) == ("apex", False, True)
    assert choose("auto", found(), "cuda").fused_adam == "torch"


def test_the_weight_gradient_is_fused_only_by_apexs_module() -> None:
    """Megatron's output layer raises where the flag is set without it, Transformer Engine or not."""
    engine = choose("fused", found(TE), "cuda")
    assert (engine.chosen, engine.gradient_accumulation_fusion) == ("fused", False)
    assert any("weight gradients" in text for text in engine.given_up)
    assert choose("fused", found(TE, WGRAD), "cuda").gradient_accumulation_fusion


def test_the_softmax_is_fused_only_where_both_of_its_modules_load() -> None:
    """Megatron's attention imports them at the first step; Transformer Engine's has its own."""
    assert not choose("auto", found(AMP, WGRAD, SOFTMAX[0], apex=NVIDIAS), "cuda").masked_softmax_fusion
    assert choose("auto", found(AMP, WGRAD, *SOFTMAX, apex=NVIDIAS), "cuda").masked_softmax_fusion
    assert not choose("auto", found(TE, *SOFTMAX), "cuda").masked_softmax_fusion


def test_portable_takes_nothing_hides_all_and_says_what_that_costs() -> None:
    """Megatron takes what it can import, so what is not taken must not be importable."""
    choice = choose("portable", found(TE, AMP, WGRAD, apex=NVIDIAS), "cuda")
    assert (choice.chosen, choice.fused_adam, choice.gradient_accumulation_fusion) == ("portable", "torch", False)
    assert choice.hidden == ("apex", "transformer_engine")
    assert len(choice.given_up) == 4


def test_a_processor_gets_portable_kernels_and_says_why() -> None:
    """They would be found and fail on its tensors."""
    choice = choose("auto", found(TE, AMP, WGRAD, apex=NVIDIAS), "cpu")
    assert (choice.chosen, choice.hidden) == ("portable", ("apex", "transformer_engine"))
    assert choice.reason == "auto: fused kernels run on CUDA devices, and this is cpu"


def test_a_transformer_engine_that_fails_is_hidden() -> None:
    """Megatron catches ImportError alone, and a library that is missing may raise another."""
    choice = choose("auto", found(AMP, WGRAD, apex=NVIDIAS, fails=TE), "cuda")
    assert (choice.hidden, choice.chosen) == (("transformer_engine",), "fused")


@pytest.mark.parametrize(
    ("there", "device", "words"),
    [
        (found(TE), "cpu", "the job runs on cpu"),
        (found(), "cuda", "amp_C is absent; fused_weight_gradient_mlp_cuda is absent"),
        (found(AMP, apex=NVIDIAS), "cuda", "fused_weight_gradient_mlp_cuda is absent"),
        (found(AMP, WGRAD), "cuda", "no Python package apex beside amp_C"),
        (found(AMP, WGRAD, apex=apex_package.Package("/x", is_nvidias=False)), "cuda", "is not NVIDIA's Apex"),
        (found(fails=TE), "cuda", "transformer_engine.pytorch fails"),
    ],
)
def test_fused_refuses_to_start_without_them(there: Found, device: str, words: str) -> None:
    """It names what is missing and how to get it."""
    with pytest.raises(UserError, match="kernels are to be fused") as raised:
        choose("fused", there, device)
    assert words in str(raised.value)
    assert raised.value.fix


def test_every_choice_is_plain_data_and_keeps_its_word() -> None:
    """Over all that could be there: portable hides, fused takes something, and what is hidden is never taken."""
    packages = (None, NVIDIAS, apex_package.Package("/x", is_nvidias=False))
    for names in itertools.chain.from_iterable(itertools.combinations((TE, AMP, WGRAD), n) for n in range(4)):
        for package, asked, device in itertools.product(packages, ("auto", "fused", "portable"), ("cuda", "cpu")):
            there = found(*names, apex=package)
            try:
                choice = choose(asked, there, device)  # type: ignore[arg-type]
            except UserError:
                assert asked == "fused"
                continue
            assert json.loads(json.dumps(choice.describe()))["chosen"] == choice.chosen
            taken = choice.transformer_engine or choice.fused_adam == "apex" or choice.gradient_accumulation_fusion
            taken |= choice.masked_softmax_fusion
            assert taken == (choice.chosen == "fused")
            assert taken or asked != "fused"
            assert choice.fused_adam not in choice.hidden
            assert ("apex" in choice.hidden) or impostor(there) is None


MEGATRON = """
import json
from runtime.training import kernels
choice = kernels.choose("auto", kernels.probe(), "cpu")
said = kernels.hide_not_taken(choice)
from megatron.core import optimizer
from megatron.core.models.gpt.gpt_layer_specs import LNImpl, get_gpt_layer_local_spec
get_gpt_layer_local_spec(normalization="RMSNorm")
print(json.dumps([said, LNImpl.__name__, optimizer.Adam.__module__, optimizer.USING_PYTORCH_OPTIMIZER]))
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("megatron") is None, reason="needs the training environment: megatron-core")
@pytest.mark.parametrize("make", [installed.empty, installed.nvidias_python])
def test_megatron_takes_torchs_norm_and_optimizer_beside_an_impostor(tmp_path: Path, make: Any) -> None:
    """Without hiding it takes FusedLayerNorm, and NVIDIA's optimizer where there are its Python files."""
    said, norm, optimizer, torchs = installed.answer(MEGATRON, make(tmp_path))
    assert said[0].startswith("hidden from this job: apex")
    assert (norm, torchs) == ("WrappedTorchNorm", True)
    assert optimizer.startswith("torch.optim")
    unhidden = MEGATRON.replace("kernels.hide_not_taken(choice)", "()")
    assert installed.answer(unhidden, tmp_path)[1] == "FusedLayerNorm"
