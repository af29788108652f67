"""The probe as a process: what it says of directories, modules and limits, with the standard library alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from runtime import probe

ROOT = Path(__file__).resolve().parents[2]


def shared(path: Path, text: str = "token") -> Path:
    path.mkdir()
    (path / probe.HERE).write_text(text)
    return path


def ask(directory: Path, places: dict[str, Path], imports: list[str], **environment: str) -> dict[str, Any]:
    """Run it without site-packages, as where nothing is installed."""
    file = directory / "request.json"
    wanted = {name: str(path) for name, path in places.items()}
    file.write_text(json.dumps({"token": "token", "places": wanted, "imports": imports, "gpus": 1}))
    command = [sys.executable, "-S", "-m", "runtime.probe", str(file)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(file.with_suffix(".answer").read_text())
    return answer


def test_it_answers_where_nothing_is_installed(tmp_path: Path) -> None:
    """What is missing is in the answer; the standard library is enough to write it."""
    place = shared(tmp_path / "store")
    began = time.time()
    answer = ask(tmp_path, {"store": place}, ["json", "attrs", "runtime.worker"], OMP_NUM_THREADS="3")
    tried = answer["places"]["store"]
    assert [tried[step] for step in ("seen", "written", "linked", "renamed")] == [""] * 4
    assert tried["free"] > 0
    assert began <= tried["clock"]["host"] <= time.time()
    assert began - 0.1 < tried["clock"]["files"] <= time.time()  # clocks of files tick in steps
    assert answer["imports"]["json"] == ""
    assert "No module named 'attrs'" in answer["imports"]["attrs"]
    assert "No module named" in answer["imports"]["runtime.worker"]
    assert "No module named 'torch'" in answer["gpus"]["error"]
    assert (answer["limits"]["threads"], answer["scratch"]) == ("3", None)
    assert (place / probe.THERE).read_text() == "token"


def test_what_there_is_to_train_with_is_asked_of_training_nodes_only(tmp_path: Path) -> None:
    """Where even attrs is missing, the answer says so."""
    request = {"token": "", "places": {}, "imports": [], "gpus": 0}
    assert probe.answer(request)["training"] is None
    file = tmp_path / "request.json"
    file.write_text(json.dumps({**request, "training": True}))
    for flags in ([], ["-S"]):
        subprocess.run([sys.executable, *flags, "-m", "runtime.probe", str(file)], cwd=ROOT, timeout=600, check=True)
        found = json.loads(file.with_suffix(".answer").read_text())["training"]
        if flags:
            assert "No module named 'attrs'" in found["error"] or "No module named 'attr'" in found["error"]
        else:
            assert found["error"] == ""
            assert found["torch"]["version"]
            assert found["kernels"]["chosen"] in {"fused", "portable"}


@pytest.mark.parametrize(
    ("step", "spoil"),
    [
        ("seen", lambda place: (place / probe.HERE).unlink()),
        ("seen", lambda place: (place / probe.HERE).write_text("another")),
        ("linked", lambda place: (place / "there.link").write_text("")),
        ("written", lambda place: (place / probe.THERE).mkdir()),
    ],
)
def test_each_thing_that_a_directory_cannot_do_is_told(tmp_path: Path, step: str, spoil: Any) -> None:
    """And nothing raises."""
    place = shared(tmp_path / "store")
    spoil(place)
    assert probe.place(place, "token")[step]


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    """As one that is not mounted on the node."""
    tried = probe.place(tmp_path / "nowhere" / "deep", "token")
    assert tried["seen"] == "No such file or directory"
    assert tried["free"] >= 0


def test_scratch_is_made_and_written(tmp_path: Path) -> None:
    """What cannot be is said; nothing is left in it."""
    tried = probe.scratch(str(tmp_path / "a" / "b"))
    assert tried is not None and tried["written"] == "" and tried["free"] > 0
    assert list((tmp_path / "a" / "b").iterdir()) == []
    (tmp_path / "file").write_text("")
    refused = probe.scratch(str(tmp_path / "file" / "x"))
    assert refused == {"path": str(tmp_path / "file" / "x"), "written": "Not a directory", "free": 0}


def test_a_module_that_fails_in_its_own_way_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not missing, but built for another machine."""
    (tmp_path / "broken_module.py").write_text("raise ImportError('libcuda.so.1: cannot open\\nshared object')")
    monkeypatch.syspath_prepend(str(tmp_path))
    request = {"token": "", "places": {}, "imports": ["broken_module"], "gpus": 0}
    assert probe.answer(request)["imports"] == {
        "broken_module": "ImportError: libcuda.so.1: cannot open shared object",
    }


def test_a_file_system_that_links_twice_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There two processes would both win."""
    monkeypatch.setattr("os.link", lambda source, target: Path(target).write_text(Path(source).read_text()))
    assert "made twice" in probe.place(shared(tmp_path / "store"), "token")["linked"]
