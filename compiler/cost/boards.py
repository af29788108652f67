"""Boards: what NVIDIA says that its devices can do at most, by type and by the name that CUDA gives them.

The one table of them, for estimates, for what past runs tell and for the utilization that a run shows. Not what is
reached of it (`devices.py`). A device of another name has no peak: none is better than a wrong one. A part of a device
(MIG) has another name, too. Figures are of dense matrices: where a data sheet states those with sparsity, half of that.

    A100       NVIDIA A100 Tensor Core GPU, data sheet of June 2021: the same for SXM and PCIe
    H100       NVIDIA H100 Tensor Core GPU, whitepaper, SXM: 989.4 and 494.7 TFLOPS (1,979 and 989 with sparsity in the
               data sheet) in bf16 and TF32
    H100-PCIe  the same, PCIe: 1,513 and 756
    H100-NVL   the same, in its later edition, NVL: 1,671 and 835, of one of the pair
    H200       NVIDIA H200 Tensor Core GPU, data sheet, SXM: as the H100
    H800       the same chip as the H100, its links and fp64 cut; OpenCoder's hours are counted with this figure, too
    L40S       NVIDIA L40S, data sheet: 362.05 and 183 TFLOPS without sparsity

Memory is in MiB as nvidia-smi has it, which is less than the data sheet's; A100s of 40 GB have half of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import attrs

GPU = Literal["A100", "H100", "H800", "H200", "H100-PCIe", "H100-NVL", "L40S"]


@attrs.frozen
class Peak:
    """Dense operations a second: tensor cores in bf16 and in TF32, and fp32 without them; and memory in MiB."""

    bf16: float
    tf32: float
    fp32: float
    memory_mb: int


PEAKS: Mapping[GPU, Peak] = {
    "A100": Peak(312e12, 156e12, 19.5e12, 81_920),
    "H100": Peak(989.4e12, 494.7e12, 66.9e12, 81_559),
    "H800": Peak(989.4e12, 494.7e12, 66.9e12, 81_559),
    "H200": Peak(989.4e12, 494.7e12, 66.9e12, 143_771),
    "H100-PCIe": Peak(756e12, 378e12, 51e12, 81_559),
    "H100-NVL": Peak(835.5e12, 417.5e12, 60e12, 95_830),
    "L40S": Peak(362.05e12, 183e12, 91.6e12, 46_068),
}

BOARDS: Mapping[str, GPU] = {
    "NVIDIA A100-SXM4-40GB": "A100",
    "NVIDIA A100-SXM4-80GB": "A100",
    "NVIDIA A100-PCIE-40GB": "A100",
    "NVIDIA A100 80GB PCIe": "A100",
    "NVIDIA H100 80GB HBM3": "H100",
    "NVIDIA H100 PCIe": "H100-PCIe",
    "NVIDIA H100 NVL": "H100-NVL",
    "NVIDIA H200": "H200",
    "NVIDIA H800": "H800",
    "NVIDIA L40S": "L40S",
}
"""By all of the name that CUDA gives a device: another board, or a part of one, has another peak."""


def peak_of(name: str) -> Peak | None:
    """What a device of that name can do, None where it is not known.

    >>> peak_of("NVIDIA L40S").bf16, peak_of("NVIDIA H200 MIG 1g.18gb")
    (362050000000000.0, None)
    """
    board = BOARDS.get(name)
    return PEAKS[board] if board else None
