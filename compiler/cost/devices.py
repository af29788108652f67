"""Devices that training runs on: peak speed, memory, and the share of the peak that others have reached. No device is
looked at, and no figure of ocspec's own runs stands here: those come as a `Calibration`.

Peaks are those of `boards.py`, dense bf16. `utilization` is MFU (Chowdhery et al. 2022): the
operations of forward and backward, none twice, over time and peak. Its bounds are the least and the most of what was
published of other models than those in docs/how-to/cost.md's table of predicted and reported hours:

    A100   6ND + attention over GPU-hours. Whole runs: Pythia-1.0B 4,830 h for 300 B tokens (as arXiv 2401.02385 has
           it), BLOOM-176B 1,082,990 h for 366 B (arXiv 2211.05100 and 2211.02001), MPT-7B 440 devices for 9.5 days and
           1 T (Databricks, "Introducing MPT-7B"): 0.32 to 0.37. Both bounds come from the other two of 2401.02385's
           table of training efficiency, also for 300 B: MPT-1.3B 7,920 h, scaled from about half a day of 440 devices
           for 200 B, and TinyLlama-1.1B 3,456 h, a tenth of the 90 days of 16 devices planned for 3 T: 0.28 to 0.55
    H100   no whole run: steps of 1.3 B to 70 B at lengths of 2,048 to 8,192 on 8 to 64 devices (llm-foundry,
           scripts/train/benchmarking, H100 bf16): 0.30 to 0.46, and of 2 B to 462 B on up to 6,144 (Megatron-LM's
           README): 0.41 to 0.48. llm-foundry counts attention whole; with half of it its own would be 0.28 to 0.45
    H800   whole runs by DeepSeek (arXiv 2405.04434, section 3.2.3), GPU-hours for a trillion tokens: the dense 67B
           300,600 (0.39) and the mixture V2 with 21 B active 172,800 (0.20, its attention not counted)
    H200   nothing published was found: as the H100, whose processors it has
    cpu    FLOP/s of one processor in fp32; measured once, see CPU_FLOPS
    others nothing published was found of boards without fast links between them: HOUSE, which is a guess and wide

Models of less than SMALL parameters keep no GPU busy, and how far they fall short is not known.
"""

from __future__ import annotations

from functools import reduce
from typing import Literal

import attrs

from compiler.cost.boards import GPU, PEAKS
from compiler.cost.interval import Interval

DeviceType = Literal[GPU, "cpu"]

SMALL = 100_000_000
"""The smallest model of llm-foundry's tables has 125 M parameters."""

CPU_FLOPS = 46e9
"""FLOP/s of training on one processor: the miniature's four stages, 1.446e13 FLOPs, took 156 s on two of `epyc2`."""


HOUSE = Interval(0.10, 0.55)
"""From half of the least share that was published of any device to the greatest: ocspec's own figure, of no run."""


@attrs.frozen
class Device:
    """`peak` FLOP/s, `memory_mb` (of 2^20 bytes, as nvidia-smi has it), and the share of the peak that is reached."""

    name: str
    peak: float
    memory_mb: int | None
    utilization: Interval


PUBLISHED: dict[GPU, Interval] = {
    "A100": Interval(0.28, 0.55),
    "H100": Interval(0.30, 0.48),
    "H800": Interval(0.20, 0.39),
    "H200": Interval(0.30, 0.48),
}
DEVICES: dict[str, Device] = {
    **{name: Device(name, peak.bf16, peak.memory_mb, PUBLISHED.get(name, HOUSE)) for name, peak in PEAKS.items()},
    "cpu": Device("cpu", CPU_FLOPS, None, Interval(0.5, 2.0)),
}
"""By type; a processor's speed is not known of another machine, so that its interval is wide."""

GPUS = tuple(PUBLISHED)
"""What a device that is not named may be: those that models are known to have been trained on."""


def speed(device: str | None, parameters: int, measured: Interval | None = None) -> Interval:
    """Model FLOP/s of one device, with the share of the peak that was measured where it was; None: any of GPUS.

    >>> speed("H100", 8_000_000_000)
    Interval(low=296820000000000.0, high=474912000000000.0)
    >>> speed(None, 8_000_000_000) == speed("A100", 8_000_000_000).hull(speed("H200", 8_000_000_000))
    True
    """
    if device is None:
        every = [speed(name, parameters) for name in GPUS]
        return reduce(Interval.hull, every)
    known = DEVICES[device]
    if measured:
        return measured * known.peak
    reached = known.utilization * known.peak
    return reached.or_less() if device != "cpu" and parameters < SMALL else reached
