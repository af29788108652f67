"""The compiler: an experiment goes in, a plan comes out.

Pure functions from spec to IR to plan; the only I/O is reading the metadata of sources. It runs nothing: that is
`runtime`. Read `passes/__init__.py` first: the PASSES tuple is the whole compiler at a glance.
"""

from __future__ import annotations
