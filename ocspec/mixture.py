"""Data sets and mixtures: which refined documents a stage sees, and in what proportion."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

from pydantic import Field, field_validator

from ocspec.base import DOC, Spec, distinct_identities
from ocspec.refinement import Step, exact_share
from ocspec.sources import AKA, Declared, FormerName, Name, Source


class Dataset(Spec):
    """Documents of some sources, or of another data set, after some steps in order.

    A data set that starts from another (`base`) adds steps to it without reading the sources again.
    """

    name: Name = Field(description="What mixtures call it.")
    aka: FormerName = Field(default="", description=AKA)
    sources: tuple[Source, ...] = Field(default=(), description="Where its documents come from.")
    base: Name | None = Field(default=None, description="The data set that it starts from, in place of sources.")
    steps: tuple[Step, ...] = Field(default=(), description="Refinement, in this order.")
    declared: Declared | None = Field(
        default=None,
        description="What the steps leave, where that is known beforehand: a plan budgets with it.",
    )
    note: Annotated[str, DOC] = Field(default="", description="Free text; it changes nothing.")

    @field_validator("sources")
    @classmethod
    def _distinct(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        return distinct_identities(sources)


class Part(Spec):
    """A data set's part of a mixture. Weights are relative and exact: 84 and 12.4 mean what they say.

    A data set that is smaller than its share is repeated, up to `max_epochs` times.
    """

    dataset: Name = Field(description="Name of a data set.")
    weight: float | int | Fraction = Field(gt=0, description="Relative to the other parts; tokens or percent.")
    max_epochs: float | int = Field(default=1, gt=0, description="How often a token may be seen in the stage.")

    @property
    def key(self) -> str:
        """Parts are known by their data set."""
        return self.dataset


class Mixture(Spec):
    """A weighted mixture of data sets."""

    parts: tuple[Part, ...] = Field(min_length=1, description="Each data set once.")

    @field_validator("parts")
    @classmethod
    def _distinct(cls, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        names = [part.dataset for part in parts]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"listed twice: {', '.join(twice)}; fix: give each data set one weight")
        return parts

    @property
    def total(self) -> Fraction:
        """Sum of the weights, exactly.

        >>> str(Mixture(parts=(Part(dataset="a", weight=0.1), Part(dataset="b", weight=0.2))).total)
        '3/10'
        """
        return sum((exact_share(part.weight) for part in self.parts), Fraction(0))

    def scaled(self, weight: float | int | Fraction) -> tuple[Part, ...]:
        """The parts in the same proportions, with weights that sum to `weight`: a mixture within another.

        >>> code = Mixture(parts=(Part(dataset="a", weight=3), Part(dataset="b", weight=1)))
        >>> [str(part.weight) for part in code.scaled(84)]
        ['63', '21']
        """
        factor = exact_share(weight) / self.total
        return tuple(part.replace(weight=exact_share(part.weight) * factor) for part in self.parts)


class HoldOut(Spec):
    """Repositories that are never trained on. Patterns as in a shell: `networkx@*`.

    A document elsewhere that a deduplication step clusters with a held-out one is dropped from training.
    """

    repositories: tuple[str, ...] = Field(min_length=1, description="Patterns of repository names.")
