"""What tests of fingerprints share: the files that the sources of the hosts read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.property.hosts import files


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory in which they are."""
    directory = tmp_path_factory.mktemp("base")
    files(directory)
    return directory
