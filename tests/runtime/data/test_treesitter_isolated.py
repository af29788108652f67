"""The parser's own process: hostile input kills only that, within its limit, and what comes next is parsed."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from compiler.errors import UserError
from runtime.data import treesitter
from runtime.data.instruct import pairs
from runtime.data.signals import SignalValues
from runtime.data.treesitter import child, isolated
from tests.runtime.children import wait_for

GOOD = b"int main(void) { return 0; }\n"
linux = pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA bounds all memory on Linux only")

# Input of which the C code takes more memory than there is.
FATAL = {
    "C arrows": ("c", b"a=>" * 2_700),
    "more C arrows": ("c", b"a=>" * 33_000),
    "Java arrows": ("java", b"a=>" * 2_700),
    "more Java arrows": ("java", b"a=>" * 33_000),
}
# Input that is stopped, one way or the other; which way is not what matters here.
HOSTILE = {
    "brackets": ("c", b"(" * 3_000_000),
    "nested brackets": ("javascript", b"[" * 15_000 + b"]" * 15_000),
    "quotes": ("python", b"'\"" * 15_000),
}


@pytest.fixture(autouse=True)
def _own_process():
    """Each test begins and ends without a child."""
    with isolated.parser_process():
        yield


@pytest.fixture
def small(monkeypatch):
    """A quarter of the memory, to be quick: hostile input takes whatever there is."""
    monkeypatch.setattr(isolated, "MEMORY_BYTES", isolated.MEMORY_BYTES // 4)


def process_id() -> int:
    """The child's process."""
    return int(isolated.call(os.getpid))


def peak_bytes() -> int:
    """The most memory that the child held at once."""
    status = Path(f"/proc/{process_id()}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) << 10


def verdict(language: str, source: bytes) -> treesitter.Structure | str | None:
    """What is found, or that the parser failed."""
    try:
        return isolated.structure(source, language)
    except isolated.ParserFailed:
        return "failed"


@linux
@pytest.mark.parametrize(("language", "source"), FATAL.values(), ids=FATAL.keys())
def test_a_document_that_takes_all_memory_fails_alone(small, language, source):
    """Twice the same; a child that parsed before and one that did not; what follows is parsed."""
    assert [verdict(language, source) for _ in range(2)] == ["failed", "failed"]
    assert verdict("c", GOOD).mains == 1
    assert verdict(language, source) == "failed"
    assert verdict("c", GOOD).mains == 1


@linux
def test_memory_stays_under_the_limit():
    """A document that nearly takes it all: what is measured is below, and the process still serves."""
    limit = isolated.MEMORY_BYTES
    assert verdict("c", b"a=>" * 700).has_error
    assert 100 << 20 < peak_bytes() < limit
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert verdict("c", b"a=>" * 2_700) == "failed"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10  # of this process, in kB


@pytest.mark.parametrize(("language", "source"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_input_has_the_same_verdict_twice(small, language, source):
    """Stopped by its steps or by its memory."""
    assert verdict(language, source) == verdict(language, source)
    assert verdict("c", GOOD).mains == 1


@linux
def test_a_child_that_is_not_fresh_does_not_decide(small, monkeypatch):
    """A document that dies in a child with documents behind it is parsed again by one without."""
    assert verdict("c", GOOD).mains == 1
    first = process_id()
    assert verdict("c", b"a=>" * 2_700) == "failed"
    real, asked = isolated._Child.ask, []
    monkeypatch.setattr(isolated._Child, "ask", lambda self, job: asked.append(self.jobs) or real(self, job))
    assert verdict("c", GOOD).mains == 1
    assert verdict("c", b"a=>" * 2_700) == "failed"
    assert asked == [0, 1, 0]
    assert process_id() != first


@pytest.mark.parametrize("language", treesitter.GRAMMARS)
def test_the_answers_are_those_of_the_parser(language):
    """All grammars, good and broken sources, nothing lost on the way."""
    for source in (b"", GOOD, "é = 'ü' # ß\n".encode(), b"((("):
        assert isolated.structure(source, language) == treesitter.structure(source, language)
    assert isolated.structure(GOOD, "cobol") is None


def test_pairs_come_from_the_same_process():
    """What other functions return is what they return here."""
    text = 'def add(a, b):\n    """Adds two numbers."""\n    c = a + b\n    return c\n'
    assert isolated.call(pairs, text, "python", "d", min_docstring=5) == pairs(text, "python", "d", min_docstring=5)


def test_an_exception_is_an_error_not_a_verdict():
    """A bug of ours must not drop documents; the child goes on."""
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        isolated.call(divmod, 1, 0)
    assert isolated.call(divmod, 7, 2) == (3, 1)


def test_a_child_that_is_killed_is_an_error_not_a_verdict():
    """The kernel's out-of-memory killer and operators of clusters say nothing of the document."""
    os.kill(process_id(), signal.SIGKILL)
    with pytest.raises(UserError, match="from outside"):
        isolated.structure(GOOD, "c")
    assert isolated.structure(GOOD, "c").mains == 1


def test_a_child_that_cannot_start_is_an_error(monkeypatch):
    """Not a verdict either."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="before it began"):
        isolated.structure(GOOD, "c")


@linux
def test_a_limit_that_is_lower_than_ours_is_an_error():
    """Otherwise the verdict would depend on the machine."""
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_DATA, (400 << 20, 400 << 20))\n"
        "from runtime.data.treesitter import isolated; isolated.structure(b'', 'c')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ulimit -d" in done.stderr


def test_each_thread_has_its_own_child_and_ends_it():
    """It dies with its thread, which is what it dies with on Linux anyway."""
    others = []
    thread = threading.Thread(target=lambda: others.append(process_id()))
    thread.start()
    thread.join()
    assert others[0] != process_id() == process_id()
    assert not _lives(others[0])


def test_a_forked_process_starts_its_own_child():
    """Two processes that write to one pipe would read one another's answers."""
    mine = process_id()
    reader, writer = os.pipe()
    if not (forked := os.fork()):
        os.write(writer, str(process_id()).encode())
        os._exit(0)
    os.waitpid(forked, 0)
    assert int(os.read(reader, 20)) != mine == process_id()
    os.close(reader)
    os.close(writer)


@linux
def test_the_child_dies_with_its_parent():
    """Also where that is killed."""
    code = (
        "import os, time; from runtime.data.treesitter import isolated\n"
        "print(isolated.call(os.getpid), flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        number = int(parent.stdout.readline())
        assert _lives(number)
        parent.kill()
    wait_for(lambda: not _lives(number))


def _lives(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@linux
def test_signals_say_that_the_parser_failed(small):
    """Those of the tree are None; and only where somebody asked for one."""
    values = SignalValues("a=>" * 2_700, "c", "code")
    assert values["num_lines"] == 1
    assert not values.parser_failed
    assert values["frac_bytes_error"] is None
    assert values.parser_failed


def test_a_message_that_stops_half_way_is_the_end(tmp_path):
    """Not a shorter message."""
    path = tmp_path / "pipe"
    with path.open("wb") as stream:
        child.send(stream, ("job", b"x" * 100))
    path.write_bytes(path.read_bytes()[:-1])
    with path.open("rb") as stream, pytest.raises(EOFError):
        child.receive(stream)


@linux
@pytest.mark.parametrize(
    ("function", "argument"), [(bytes, 300 << 20), (len, b"x" * (300 << 20))], ids=["answering", "reading"]
)
def test_memory_that_ends_in_reading_or_answering_is_the_jobs_fault(function, argument) -> None:
    """Not only the parser allocates: a job and its answer are held twice while they are pickled."""
    with isolated.parser_process():
        assert isolated.structure(GOOD, "c").functions == 1
        with pytest.raises(isolated.ParserFailed):
            isolated.call(function, argument)
        assert isolated.structure(GOOD, "c").functions == 1
