"""The classifier: the same bytes each time, whatever the process did before, and sure scores."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import attrs
import numpy as np
import pytest

from compiler.errors import UserError
from compiler.ir import FastText
from runtime.data.web.classifier import CODE, MODEL_FILE, OTHER, Classifier, train

SETTINGS = FastText(dim=16, epochs=5, learning_rate=0.5, word_ngrams=2, min_count=1, buckets=5000)


def examples() -> list[tuple[str, str]]:
    """Two topics that share a third of their words."""
    draw = random.Random(1)
    topics = {CODE: range(0, 300), OTHER: range(200, 500)}
    return [
        (label, " ".join(str(draw.choice(words)) for _ in range(60)))
        for _ in range(400)
        for label, words in topics.items()
    ]


def test_training_gives_the_same_bytes_again_and_again(tmp_path: Path) -> None:
    """Also where memory was used before: fastText leaves nine tenths of its matrix as the allocator gave it."""
    digests = set()
    for number in range(6):
        out = tmp_path / str(number)
        out.mkdir()
        dirty = [np.full(20_000 + number * 7000, np.nan, dtype=np.float32) for _ in range(20)]
        del dirty
        assert train(examples(), SETTINGS, out, tmp_path) == {CODE: 400, OTHER: 400}
        digests.add(hashlib.sha256((out / MODEL_FILE).read_bytes()).hexdigest())
    assert len(digests) == 1


def test_scores_tell_the_topics_apart(tmp_path: Path) -> None:
    """In any grouping, between 0 and 1, also for text that has no word it knows."""
    train(examples(), SETTINGS, tmp_path, tmp_path)
    model = Classifier(tmp_path)
    code, other = " ".join(map(str, range(0, 200, 3))), " ".join(map(str, range(300, 500, 3)))
    scores = model.scores([code, other, "", "9999"])
    assert scores[0] > 0.9 and scores[1] < 0.1
    assert ((scores >= 0) & (scores <= 1)).all()
    assert np.array_equal(scores, [model.scores([words])[0] for words in (code, other, "", "9999")])
    assert model.scores([]).shape == (0,)


def test_a_diverging_training_is_said_in_one_line(tmp_path: Path) -> None:
    """With what to lower."""
    with pytest.raises(UserError, match="Encountered NaN") as error:
        train(examples(), attrs.evolve(SETTINGS, learning_rate=1e20), tmp_path, tmp_path)
    assert "learning_rate" in error.value.fix
