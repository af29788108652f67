"""The data operators: for each, the function that a worker calls. Glue only.

They read inputs, call the kernels beside this package or the plan's SQL, write outputs and count documents. No
algorithm lives here.
"""

from __future__ import annotations
