"""The Megatron-core back end (megatron-core 0.15.3): tensor, pipeline and data parallel training of a `TrainJob`.

Not NeMo, which brings its own loop around the same models (`runtime.training.nemo`) and shares all here but `backend`.
Megatron is imported by these modules and by nobody outside them.
"""

from __future__ import annotations
