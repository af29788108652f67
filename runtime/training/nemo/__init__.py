"""The NeMo back end (nemo-toolkit 2.7.3): a `TrainJob` trained by NeMo's loop, model and strategy.

Not Megatron's back end, though the model inside is the same megatron-core and its modules for state, names and kernels
serve here, too. NeMo and Lightning are imported by these modules and by nobody outside them; loading them takes the
better part of a minute.
"""

from __future__ import annotations
