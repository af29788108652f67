"""Tokens per second of a training step: `runtime.training` beside transformers' `LlamaForCausalLM`.

    python benchmarks/train_step.py --threads 2 --steps 10 --rounds 2

Both sides: the same shape (1.26 M parameters), batch (32 x 256 tokens), fp32, fused AdamW, clipping. Each
side runs in a process of its own, in turns; the best step of all rounds counts, since other load on the
machine only adds time. transformers runs twice: as it comes, and with the allocator setting that
`runtime.training` makes for itself.
Needs an otherwise idle machine: with more busy processes than cores the ratios are noise.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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
SIDES = ("runtime.training", "transformers", "transformers, memory kept")


def ours(steps: int, threads: int) -> list[float]:
    """Seconds of each step of `train`, on random tokens."""
    from runtime.training.torch_backend import train

    job = TrainJob(
        stage="bench",
        kind="pretrain",
        model=SHAPE,
        schedule=(SchedulePhase(shape="constant", steps=steps, start=1e-3, end=1e-3),),
        batches=(BatchPhase(steps=steps, global_batch=BATCH, sequence_length=LENGTH),),
        micro_batch=BATCH,
    )
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        write_tokens(root / "tokens")
        write_blend(root / "blend", steps)
        train(
            job,
            tokens=[root / "tokens"],
            blend=root / "blend",
            init=None,
            out=root / "out",
            resume=root / "resume",
            threads=threads,
            tokenizer=None,
            progress=lambda *_: None,
            stats={},
        )
        lines = (root / "out/log/timings.jsonl").read_text().splitlines()
    return [json.loads(line)["seconds"] for line in lines]


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


def theirs(steps: int, threads: int, keep_memory: bool) -> list[float]:
    """Seconds of each step of the plain training loop on transformers' model."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from runtime.training.device import keep_freed_memory

    if keep_memory:
        keep_freed_memory()
    torch.set_num_threads(threads)
    torch.manual_seed(0)
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
    model = LlamaForCausalLM(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == SHAPE.parameters
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    seconds = []
    for _ in range(steps):
        tokens = torch.randint(0, SHAPE.vocab_size, (BATCH, LENGTH))
        began = time.perf_counter()
        loss = model(input_ids=tokens, labels=tokens).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        loss.item()
        seconds.append(time.perf_counter() - began)
    return seconds


def main() -> None:
    """Run the sides in turns and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--side", choices=SIDES, help="run one side here and print its seconds")
    options = parser.parse_args()
    if options.side:
        run = ours if options.side == SIDES[0] else theirs
        extra = () if options.side == SIDES[0] else (options.side == SIDES[2],)
        print(json.dumps(run(options.steps, options.threads, *extra)))
        return
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    for _ in range(options.rounds):
        for side in SIDES:
            command = [sys.executable, __file__, "--side", side, "--steps", str(options.steps)]
            command += ["--threads", str(options.threads)]
            result = subprocess.run(command, capture_output=True, text=True, check=True)
            seconds[side] += json.loads(result.stdout.splitlines()[-1])[2:]  # the first two steps warm up
    best = {side: BATCH * LENGTH / min(times) for side, times in seconds.items()}
    for side, times in seconds.items():
        median = BATCH * LENGTH / float(np.median(times))
        ratio = best[SIDES[0]] / best[side]
        print(f"{side:28s} best {best[side]:8.0f}  median {median:8.0f} tokens/s  ratio {ratio:5.2f}")


if __name__ == "__main__":
    main()
