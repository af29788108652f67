"""The report: one self-contained HTML file about a run, finished or not. It runs nothing and changes nothing.

`gather` collects the numbers, `charts` draws them, `build` puts them on the page.
"""

from __future__ import annotations
