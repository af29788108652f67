"""Charts as text: each module has one function from plain numbers to inline SVG. Not a plotting library.

The same numbers give the same text. Colours are CSS classes of the page, so that a chart is right in light
and in dark.
"""

from __future__ import annotations
