"""Pages of the web: their URLs, the words that they are cut into, the classifier, and seed pages.

Not the loop: rounds are tasks of the plan (`compiler.passes.lower_web`), run by `runtime.data.operators.web`.
"""

from __future__ import annotations
