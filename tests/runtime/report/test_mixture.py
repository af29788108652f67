"""What stages drew, by data set and by language."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from runtime.report.facts import StageMix
from runtime.report.mixture import drawn_shares, mixes
from tests.runtime.report.small import Run


@pytest.fixture(scope="module")
def by_stage(complete: Run) -> dict[str, StageMix]:
    return {mix.stage: mix for mix in mixes(complete.built())}


def test_shares_drawn_stand_beside_shares_asked(by_stage: dict[str, StageMix]):
    """Data sets sort by name in a mixture, so algo stands first; the fixture draws three quarters of it."""
    parts = {part.dataset: (part.asked, part.drawn, part.share) for part in by_stage["gamma"].parts}
    assert parts == {"algo": (0.25, 15, 0.75), "code": (0.75, 5, 0.25)}
    assert by_stage["gamma"].unit == "sequences"


def test_shares_are_of_tokens_not_of_sequences(tmp_path: Path):
    """Four sequences each, but the second data set's are in the phase that is three times as long."""
    for number, dataset in enumerate((0, 1)):
        np.save(tmp_path / f"order-{number}.npy", np.array([[dataset, i] for i in range(4)]))
    phases = [{"order": f"order-{n}.npy", "sequence_length": length} for n, length in enumerate((32, 96))]
    blend = {"datasets": [{"name": "one"}, {"name": "two"}], "phases": phases}
    assert drawn_shares(blend, tmp_path) == [0.25, 0.75]


def test_fine_tuning_asks_for_no_share(by_stage: dict[str, StageMix]):
    """Whole epochs are asked for; all samples come from the one data set."""
    (part,) = by_stage["delta"].parts
    assert (part.asked, part.drawn, part.share, by_stage["delta"].unit) == (None, 8, 1.0, "samples")


def test_languages_are_those_of_selected_training_documents(by_stage: dict[str, StageMix]):
    """1 is held out and 3 is not selected: 300 bytes of Python and 100 of HTML are left."""
    assert dict(by_stage["alpha"].languages) == pytest.approx({"python": 0.75, "html": 0.25})


def test_languages_of_several_data_sets_are_weighed(by_stage: dict[str, StageMix]):
    """Both data sets have the same documents here, so the weighted mean is what each has; the sum is one."""
    languages = by_stage["gamma"].languages
    assert sum(share for _, share in languages) == pytest.approx(1)
    assert [language for language, _ in languages] == ["python", "html"]


def test_languages_of_pairs_are_counted(by_stage: dict[str, StageMix]):
    """Two of Python, one of Go, one without a language; equal shares sort by name."""
    assert by_stage["delta"].languages == (("python", 0.5), ("(none)", 0.25), ("go", 0.25))


def test_a_mixture_not_drawn_has_what_was_asked(run: Run):
    """No shares drawn and no languages, and the state says why."""
    gamma = next(mix for mix in mixes(run.built()) if mix.stage == "gamma")
    assert [(part.dataset, part.asked, part.share) for part in gamma.parts] == [
        ("algo", 0.25, None),
        ("code", 0.75, None),
    ]
    assert (gamma.status, gamma.languages) == ("not run", ())
