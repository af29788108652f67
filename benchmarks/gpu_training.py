"""Training steps on one GPU: torch, compiled and not; Megatron with portable kernels, Apex's, Transformer Engine's.

    python -m benchmarks.gpu_training                                        # the shape of OpenCoder-1.5B, bf16
    python -m benchmarks.gpu_training --layers 2 --hidden 64 --heads 4 --head-dim 16 --ffn 128 --vocab 512 \
        --sequence 64 --micro-batch 2 --global-batch 4 --steps 4 --precision fp32          # on a processor, in seconds

**No GPU has run this yet.** Figures of a processor show that it works, and say nothing about a GPU.

Each case is a process of its own, that runs the back end's `train` as a job would on random tokens and leaves before
it writes a checkpoint. A case that does not fit into memory is tried again with half the micro batch. A line of JSON
for each, then a table:

    tokens/s      tokens of the steps after the first `--warm-up` ones, over their seconds
    MFU           the model's operations a second (compiler/cost/flops.py) over the device's stated peak
    of matmul     the same over what one large matrix product reaches on this device in this run
    memory        the most that was allocated on the device; resident where there is none
    estimate      weights, gradients, optimizer and activations, from the shapes alone (`estimated_bytes`)

Needs torch, numpy, attrs, cattrs, safetensors, and megatron-core 0.15.3 for its cases. No network.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from compiler.cost.flops import flops_per_token
from compiler.errors import UserError
from compiler.trainjob import BatchPhase, ModelShape, SchedulePhase, TrainJob

ROOT = Path(__file__).resolve().parents[1]
PORTABLE, APEX, ENGINE = "megatron portable", "megatron apex", "megatron transformer_engine"
KERNELS = {"torch": "auto", "torch portable": "portable", PORTABLE: "portable", APEX: "fused", ENGINE: "fused"}
CASES = ("matmul", *KERNELS)
GOAL = 0.5  # of the peak


class Measured(Exception):
    """All steps are done: the way out of `train`, before it writes tens of gigabytes that nobody wants."""


# ---------------------------------------------------------------- what is run


def job_of(options: argparse.Namespace, kernels: str) -> TrainJob:
    """The job of a case."""
    shape = ModelShape(
        vocab_size=options.vocab,
        hidden_size=options.hidden,
        intermediate_size=options.ffn,
        num_layers=options.layers,
        num_heads=options.heads,
        num_kv_heads=options.kv_heads or options.heads,
        head_dim=options.head_dim,
        max_positions=options.sequence,
    )
    batch = BatchPhase(steps=options.steps, global_batch=options.global_batch, sequence_length=options.sequence)
    return TrainJob(
        stage="gpu_training",
        kind="pretrain",
        model=shape,
        schedule=(SchedulePhase(shape="constant", steps=options.steps, start=3e-4, end=3e-4),),
        batches=(batch,),
        precision=options.precision,
        micro_batch=options.micro_batch,
        recompute=options.recompute,
        kernels=kernels,  # type: ignore[arg-type]
    )


def write_data(root: Path, job: TrainJob) -> None:
    """One document of random tokens in Megatron's format, and sequences at random places of it."""
    length, instances = job.batches[0].sequence_length, job.steps * job.batches[0].global_batch
    count, random = 64 * (length + 1), np.random.default_rng(0)
    (root / "tokens").mkdir()
    random.integers(0, job.model.vocab_size, count).astype("<i4").tofile(root / "tokens" / "tokens.bin")
    header = b"MMIDIDX\x00\x00" + np.array([1], "<u8").tobytes() + b"\x04" + np.array([1, 2], "<u8").tobytes()
    body = np.array([count], "<i4").tobytes() + np.array([0, 0, 1], "<i8").tobytes()
    (root / "tokens" / "tokens.idx").write_bytes(header + body)
    (root / "blend").mkdir()
    starts = random.integers(0, count - length - 1, instances)
    np.save(root / "blend" / "order-0.npy", np.stack((np.zeros_like(starts), starts), 1))
    phase = {"sequence_length": length, "instances": instances, "order": "order-0.npy"}
    index = {"format_version": 1, "datasets": [{"name": "random"}], "phases": [phase]}
    (root / "blend" / "blend.json").write_text(json.dumps(index))


def run_steps(case: str, job: TrainJob, threads: int) -> tuple[list[dict[str, Any]], list[float]]:
    """The timings of all steps of the case's back end, and their losses."""
    from runtime.training.request import Request

    if case.startswith("torch"):
        from runtime.training.torch_backend import train
    else:
        from runtime.training.megatron.backend import train

    def leave(done: int, total: int, unit: str) -> None:
        if done == total:
            raise Measured

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_data(root, job)
        request = Request(
            job=job,
            tokens=[root / "tokens"],
            blend=root / "blend",
            out=root / "out",
            resume=root / "resume",
            threads=threads,
            progress=leave,
        )
        with contextlib.suppress(Measured):
            train(request)
        timings = [json.loads(line) for line in (root / "resume/timings.jsonl").read_text().splitlines()]
        losses = [json.loads(line)["loss"] for line in (root / "resume/metrics.jsonl").read_text().splitlines()]
    return timings, losses


def matmul_flops(precision: str) -> float:
    """Operations a second of one large square matrix product, the best of five."""
    import torch

    cuda = torch.cuda.is_available()
    device, size = ("cuda", 8192) if cuda else ("cpu", 1024)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(6):
        began = time.perf_counter()
        left @ right
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds[1:])


# ---------------------------------------------------------------- what is expected


def estimated_bytes(job: TrainJob, *, ours: bool, scores: bool) -> dict[str, float]:
    """Bytes of a training step from the shapes alone: what lasts, and the activations of one micro batch.

    A parameter has, in fp32, a weight, a gradient and two moments: 16 bytes. bf16 adds 2: autocast's copy of the
    weight (torch), or the model's own weight beside the fp32 one (Megatron). An activation is counted where the
    backward pass needs it, at the width of the matrix products; `scores` adds those of attention that is not done in
    blocks, and their softmax. Megatron's logits count in the products' width, and twice in fp32: the loss and its
    gradient; the torch back end, `ours`, never holds them all, but one more gradient of the output matrix.
    Workspaces, the allocator's gaps and CUDA itself are not in it.
    """
    shape, width = job.model, 2 if job.precision == "bf16" else 4
    tokens = job.micro_batch * job.batches[0].sequence_length
    attention = (2 * shape.num_heads + 2 * shape.num_kv_heads) * shape.head_dim  # queries, keys, values, what is mixed
    layer = width * (4 * shape.hidden_size + attention + 4 * shape.intermediate_size)
    if scores and job.recompute == "none":
        layer += 2 * width * shape.num_heads * job.batches[0].sequence_length
    if job.recompute == "full":
        layer = width * shape.hidden_size
    output = 4 * shape.vocab_size * shape.hidden_size if ours else tokens * (width + 8) * shape.vocab_size
    return {
        "lasting": shape.parameters * (18 if job.precision == "bf16" else 16),
        "activations": tokens * shape.num_layers * layer + output,
    }


# ---------------------------------------------------------------- one case, in a process of its own


def run_case(case: str, options: argparse.Namespace) -> dict[str, Any]:
    """What a case came to; `not_run` says why it could not."""
    import torch

    from runtime.training import apex_package, kernels
    from runtime.training.device import choose_device
    from runtime.training.watch.speed import memory_mb

    device = choose_device(options.precision)
    options.precision = device.precision
    facts = {"case": case, "device": device.describe()["device_name"], "precision": device.precision}
    if case == "matmul":
        return {**facts, "tflops": matmul_flops(device.precision) / 1e12}
    if case == APEX:
        apex_package.hide("transformer_engine")
    job, ours = job_of(options, KERNELS[case]), case.startswith("torch")
    choice = None if ours else kernels.choose(job.kernels, kernels.probe(), device.torch.type)
    if case == ENGINE and not (choice and choice.transformer_engine):
        raise UserError("Transformer Engine does not load")
    timings, losses = run_steps(case, job, options.threads)
    counted = timings[options.warm_up :]
    seconds = sum(line["seconds"] for line in counted) / len(counted)
    rate = job.batches[0].global_batch * options.sequence / seconds
    return {
        **facts,
        "torch": torch.__version__,
        "job": attrs.asdict(job.model) | {"micro_batch": job.micro_batch, "global_batch": options.global_batch},
        "sequence": options.sequence,
        "parameters": job.model.parameters,
        "kernels": choice.describe() if choice else None,
        "seconds": seconds,
        "fastest": min(line["seconds"] for line in counted),
        "tokens_per_second": rate,
        "tflops": rate * flops_per_token(job.model, options.sequence) / 1e12,
        "mfu": _mfu(job, rate, device),
        "memory_bytes": memory_mb(device.torch) * (1 << 20),
        "estimate": estimated_bytes(job, ours=ours, scores=not ours and not (choice and choice.transformer_engine)),
        "losses": [losses[0], losses[-1]],
    }


def _mfu(job: TrainJob, rate: float, device: Any) -> float | None:
    from runtime.training.watch.speed import peak_flops, utilization

    peak = peak_flops(device.torch, device.precision)
    return None if peak is None else utilization(job, 0, rate, peak)


def answer(case: str, options: argparse.Namespace) -> dict[str, Any]:
    """`run_case`, with what went wrong as plain data."""
    import torch

    try:
        return run_case(case, options)
    except UserError as error:
        return {"case": case, "not_run": str(error)}
    except (torch.OutOfMemoryError, MemoryError) as error:
        return {"case": case, "out_of_memory": str(error).partition("\n")[0]}
    except Exception as error:  # another case may run all the same
        traceback.print_exc()
        return {"case": case, "not_run": f"{type(error).__name__}: {error}"}


# ---------------------------------------------------------------- all cases


def in_a_process(case: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run a case; again with half the micro batch as long as memory does not suffice."""
    micro_batch = options.micro_batch
    while True:
        given = {**vars(options), "case": case, "micro_batch": micro_batch}
        command = [sys.executable, "-m", "benchmarks.gpu_training", "--given", json.dumps(given)]
        try:
            done = subprocess.run(
                command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=options.limit, check=False
            )
        except subprocess.TimeoutExpired:
            return {"case": case, "not_run": f"not done in {options.limit} s"}
        if done.returncode:
            return {"case": case, "not_run": f"its process ended with {done.returncode}"}
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        if "out_of_memory" not in found:
            return found
        print(f"{case}: {micro_batch} sequences at a time do not fit: {found['out_of_memory']}", file=sys.stderr)
        if micro_batch == 1:
            return {"case": case, "not_run": "one sequence at a time does not fit"}
        micro_batch //= 2


def table(results: list[dict[str, Any]]) -> str:
    """The cases that ran, then those that did not."""
    product = next((found["tflops"] for found in results if found["case"] == "matmul" and "tflops" in found), None)
    head = ("micro", "tokens/s", "MFU", "of matmul", "memory", "estimate")
    widths = (5, 9, 6, 9, 9, 9)
    cells = " ".join(f"{name:>{width}s}" for name, width in zip(head, widths, strict=True))
    lines = [f"{'case':28s} {cells}  kernels"]
    for found in results:
        if "tokens_per_second" not in found:
            continue
        mfu = f"{100 * found['mfu']:5.1f}%" if found["mfu"] is not None else "     -"
        part = f"{100 * found['tflops'] / product:8.1f}%" if product else "        -"
        memory, estimate = found["memory_bytes"] / 1e9, sum(found["estimate"].values()) / 1e9
        lines.append(
            f"{found['case']:28s} {found['job']['micro_batch']:5d} {found['tokens_per_second']:9.0f} {mfu} {part} "
            f"{memory:6.2f} GB {estimate:6.2f} GB  {_kernels(found['kernels'])}"
        )
    left_out = [found for found in results if "not_run" in found]
    lines += [f"{found['case']}: not run: {found['not_run'].splitlines()[0]}" for found in left_out]
    if product:
        lines.append(f"one matrix product: {product:.2f} TFLOP/s")
    return "\n".join([*lines, verdict(results)])


def _kernels(kernels: dict[str, Any] | None) -> str:
    """What a case really took."""
    if kernels is None:
        return "torch's own"
    fused = [name for name in ("gradient_accumulation_fusion", "masked_softmax_fusion") if kernels[name]]
    return ", ".join([f"AdamW of {kernels['fused_adam']}", *fused])


def verdict(results: list[dict[str, Any]]) -> str:
    """Whether the goal was met, or that nothing here says so."""
    reached = {found["case"]: found["mfu"] for found in results if found.get("mfu") is not None}
    if not reached:
        return "no figure of a GPU: no device whose peak is known ran any case"
    best = max(reached, key=lambda case: reached[case])
    said = "met" if reached[best] >= GOAL else "missed"
    return f"goal of {GOAL:.0%} MFU: {said}, {best} has {reached[best]:.1%}"


def parsed() -> argparse.Namespace:
    """The command line; the defaults are the shape of specs/opencoder_1_5b.py."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sizes = {
        **{"layers": 24, "hidden": 2240, "heads": 14, "kv-heads": 0, "head-dim": 160, "ffn": 6144, "vocab": 96_640},
        **{"sequence": 4096, "micro-batch": 4, "global-batch": 8, "steps": 14, "warm-up": 4, "threads": 1},
    }
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N", help=f"(default: {value})")
    parser.add_argument("--precision", choices=("auto", "bf16", "fp32"), default="bf16")
    parser.add_argument("--recompute", choices=("none", "selective", "full"), default="none")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES), metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--limit", type=int, default=240, metavar="SECONDS", help="of one case (default: 240)")
    parser.add_argument("--given", help=argparse.SUPPRESS)  # the options of a case, for its own process
    options = parser.parse_args()
    if options.given:
        return argparse.Namespace(**json.loads(options.given))
    if options.warm_up >= options.steps:
        parser.error(f"{options.steps} steps with {options.warm_up} to warm up leave none to measure")
    return options


def main() -> None:
    """Run all cases, or one of them here."""
    options = parsed()
    if "case" in vars(options):
        print(json.dumps(answer(options.case, options)))
        return
    results = []
    for case in options.cases:
        results.append(in_a_process(case, options))
        print(json.dumps(results[-1]), flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
