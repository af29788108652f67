"""The compiler's names of languages are the runtime's."""

from __future__ import annotations

from compiler.languages import LANGUAGES
from runtime.data.languages import known_languages


def test_the_compiler_knows_the_languages_that_the_runtime_tells_apart() -> None:
    assert sorted(LANGUAGES) == known_languages()
