"""Hydra composes the arms of a sweep: FOLDER ARMS. Prints how many; run by Hydra's own Python."""

from __future__ import annotations

import sys

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf


def main() -> None:
    """Compose every arm, and resolve it, as a run of it would."""
    folder, arms = sys.argv[1], int(sys.argv[2])
    with initialize_config_dir(version_base=None, config_dir=folder):
        made = [
            OmegaConf.to_container(
                compose("config", overrides=[f"train.lr={1e-4 + 1e-6 * (arm // 10)}", f"data_0.rows={100 + arm % 10}"]),
                resolve=True,
            )
            for arm in range(arms)
        ]
    print(len(made), "arms")


if __name__ == "__main__":
    main()
