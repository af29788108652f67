"""Tokens per second of a training step: `runtime.training` beside transformers, litgpt and nanoGPT.

    python benchmarks/train_step.py --threads 2 --steps 10 --rounds 3 --nanogpt nanoGPT

All sides: the same width, layers, heads, vocabulary and batch (32 x 256 tokens), fp32, torch's fused AdamW, clipping,
the same threads, no torch.compile. Each side runs in a process of its own, in turns; the first two steps of a process
warm up. The median over all other steps is what counts, and the best is printed beside it: load on the machine only
adds time. All keep freed memory, an allocator setting that `runtime.training` makes for itself; transformers also runs
without. `runtime.training` runs its whole loop: data from disk, loss per source, guard, logs; the others only a step.

transformers and litgpt are the same decoder (1.26 M parameters). nanoGPT has no such parts: LayerNorm for RMSNorm, GELU
with 512 inner units for SwiGLU with 352, 4 key-value heads for 2, learnt positions for rotary ones, and one matrix for
embedding and output: 1.08 M parameters, 5 per cent more multiplications a token. `--nanogpt` is a checkout of it
(github.com/karpathy/nanoGPT); litgpt is `pip install --no-deps litgpt lightning lightning-utilities lightning-fabric
pytorch-lightning torchmetrics jsonargparse`. A side that is not there is left out, and said so.
Needs an otherwise idle machine: with more busy processes than cores the ratios are noise. On one that is not idle, use
`--threads 1 --cpu-time`, which counts the processor's time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from compiler.trainjob import BatchPhase, ModelShape, SchedulePhase, TrainJob

SHAPE = ModelShape(
    vocab_size=2048,
    hidden_size=128,
    intermediate_size=352,
    num_layers=4,
    num_heads=4,
    num_kv_heads=2,
    head_dim=32,
    max_positions=256,
)
BATCH, LENGTH = 32, 256
WARM_UP = 2
Clock = Callable[[], float]
OURS, PLAIN = "runtime.training", "transformers, as it comes"
if TYPE_CHECKING:
    import torch

    Module = torch.nn.Module
    Loss = Callable[[torch.nn.Module, torch.Tensor], torch.Tensor]


def ours(steps: int, threads: int, clock: Clock) -> list[float]:
    """Seconds of each step of `train`, on random tokens; the first from the start of the run."""
    from runtime.training.request import Request
    from runtime.training.torch_backend import train

    job = TrainJob(
        stage="bench",
        kind="pretrain",
        model=SHAPE,
        schedule=(SchedulePhase(shape="constant", steps=steps, start=1e-3, end=1e-3),),
        batches=(BatchPhase(steps=steps, global_batch=BATCH, sequence_length=LENGTH),),
        micro_batch=BATCH,
    )
    ends = [clock()]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_tokens(root / "tokens")
        write_blend(root / "blend", steps)
        request = Request(
            job=job,
            tokens=[root / "tokens"],
            blend=root / "blend",
            out=root / "out",
            resume=root / "resume",
            threads=threads,
            progress=lambda *_: ends.append(clock()),
        )
        train(request)
    return [end - before for before, end in pairwise(ends)]


def write_tokens(directory: Path, count: int = 100_000) -> None:
    """One document of random tokens in Megatron's format."""
    directory.mkdir()
    np.random.default_rng(0).integers(0, SHAPE.vocab_size, count).astype(np.uint16).tofile(directory / "tokens.bin")
    header = b"MMIDIDX\x00\x00" + np.array([1], "<u8").tobytes() + b"\x08" + np.array([1, 2], "<u8").tobytes()
    body = np.array([count], "<i4").tobytes() + np.array([0, 0, 1], "<i8").tobytes()
    (directory / "tokens.idx").write_bytes(header + body)


def write_blend(directory: Path, steps: int) -> None:
    """Sequences at random places."""
    directory.mkdir()
    starts = np.random.default_rng(1).integers(0, 100_000 - LENGTH, steps * BATCH)
    np.save(directory / "order-0.npy", np.stack((np.zeros_like(starts), starts), 1))
    phase = {"sequence_length": LENGTH, "instances": len(starts), "order": "order-0.npy"}
    index = {"format_version": 1, "datasets": [{"name": "random"}], "phases": [phase]}
    (directory / "blend.json").write_text(json.dumps(index))


def transformers_step() -> tuple[Module, Loss]:
    """The `LlamaForCausalLM` of transformers."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=SHAPE.vocab_size,
        hidden_size=SHAPE.hidden_size,
        intermediate_size=SHAPE.intermediate_size,
        num_hidden_layers=SHAPE.num_layers,
        num_attention_heads=SHAPE.num_heads,
        num_key_value_heads=SHAPE.num_kv_heads,
        head_dim=SHAPE.head_dim,
        max_position_embeddings=SHAPE.max_positions,
        use_cache=False,
    )
    return LlamaForCausalLM(config), lambda model, ids: model(input_ids=ids, labels=ids).loss


def litgpt_step() -> tuple[Module, Loss]:
    """The `GPT` of litgpt as a Llama, with the loss of its pretraining script."""
    from litgpt import GPT, Config
    from litgpt.utils import chunked_cross_entropy

    config = Config(
        name="bench",
        block_size=SHAPE.max_positions,
        vocab_size=SHAPE.vocab_size,
        padded_vocab_size=SHAPE.vocab_size,
        n_layer=SHAPE.num_layers,
        n_head=SHAPE.num_heads,
        n_query_groups=SHAPE.num_kv_heads,
        n_embd=SHAPE.hidden_size,
        intermediate_size=SHAPE.intermediate_size,
        rotary_percentage=1.0,
        parallel_residual=False,
        bias=False,
        norm_class_name="RMSNorm",
        mlp_class_name="LLaMAMLP",
    )
    return GPT(config), lambda model, ids: chunked_cross_entropy(model(ids[:, :-1]), ids[:, 1:])


def nanogpt_step(checkout: Path) -> tuple[Module, Loss]:
    """`GPT` of a checkout of nanoGPT."""
    sys.path.insert(0, str(checkout))
    from model import GPT, GPTConfig

    with redirect_stdout(sys.stderr):
        model = GPT(
            GPTConfig(
                block_size=SHAPE.max_positions,
                vocab_size=SHAPE.vocab_size,
                n_layer=SHAPE.num_layers,
                n_head=SHAPE.num_heads,
                n_embd=SHAPE.hidden_size,
                bias=False,
            )
        )
    return model, lambda model, ids: model(ids[:, :-1].contiguous(), ids[:, 1:].contiguous())[1]


def theirs(model: Module, loss_of: Loss, steps: int, clock: Clock) -> list[float]:
    """Seconds of each step of the plain training loop on a model, on random tokens."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    seconds = []
    for _ in range(steps):
        tokens = torch.randint(0, SHAPE.vocab_size, (BATCH, LENGTH + 1))
        began = clock()
        loss = loss_of(model, tokens)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        seconds.append(clock() - began)
    return seconds


def one_side(side: str, steps: int, threads: int, clock: Clock, nanogpt: Path | None) -> list[float]:
    """Seconds of each step of one side, in this process."""
    if side == OURS:
        return ours(steps, threads, clock)
    import torch

    from runtime.training.device import keep_freed_memory

    if side != PLAIN:
        keep_freed_memory()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    if side == "nanoGPT":
        assert nanogpt is not None
        model, loss_of = nanogpt_step(nanogpt)
    else:
        model, loss_of = litgpt_step() if side == "litgpt" else transformers_step()
    size = sum(parameter.numel() for parameter in model.parameters())
    assert side == "nanoGPT" or size == SHAPE.parameters, f"{side} has {size} parameters"
    return theirs(model, loss_of, steps, clock)


def sides(nanogpt: Path | None) -> Iterator[str]:
    """Those that can run here; says which cannot."""
    yield from (OURS, "transformers", PLAIN)
    if find_spec("litgpt"):
        yield "litgpt"
    else:
        print("litgpt left out: it is not installed")
    if nanogpt and (nanogpt / "model.py").is_file():
        yield "nanoGPT"
    else:
        print(f"nanoGPT left out: {f'no model.py in {nanogpt}' if nanogpt else 'no --nanogpt'}")


def main() -> None:
    """Run the sides in turns and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT")
    parser.add_argument("--cpu-time", action="store_true", help="count the processor's time of a process")
    parser.add_argument("--side", help="run one side here and print its seconds")
    options = parser.parse_args()
    if options.side:
        clock = time.process_time if options.cpu_time else time.perf_counter
        print(json.dumps(one_side(options.side, options.steps, options.threads, clock, options.nanogpt)))
        return
    seconds: dict[str, list[float]] = {side: [] for side in sides(options.nanogpt)}
    for _ in range(options.rounds):
        for side in seconds:
            command = [sys.executable, __file__, "--side", side, "--steps", str(options.steps)]
            command += ["--threads", str(options.threads)]
            command += ["--cpu-time"] if options.cpu_time else []
            command += ["--nanogpt", str(options.nanogpt)] if options.nanogpt else []
            result = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds[side] += json.loads(result.stdout.splitlines()[-1])[WARM_UP:]
    rates = {side: BATCH * LENGTH / np.array(times) for side, times in seconds.items()}
    for side, rate in rates.items():
        ratio, best = np.median(rates[OURS]) / np.median(rate), rates[OURS].max() / rate.max()
        print(f"{side:28s} median {np.median(rate):8.0f} tokens/s, ours / this {ratio:5.2f}; ", end="")
        print(f"best {rate.max():8.0f}, ours / this {best:5.2f}")


if __name__ == "__main__":
    main()
