"""fetch_packages: wheels of the cache as documents; no index is asked for what is there."""

from __future__ import annotations

import hashlib
import io
import zipfile

from compiler import ir
from runtime.data.operators.fetch import fetch_packages
from tests.runtime.data.operators.conftest import Bench, text


def cached(bench: Bench, name: str, files: dict[str, bytes]) -> ir.PyPIPackage:
    """A wheel in the cache, where pip would have put it."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    folder = bench.root / "cache" / "packages" / digest
    folder.mkdir(parents=True)
    (folder / f"{name}-1.0-py3-none-any.whl").write_bytes(buffer.getvalue())
    return ir.PyPIPackage(name=name, version="1.0", sha256=digest)


def test_packages_are_shared_out_and_counted(bench: Bench) -> None:
    """A shard takes a run of packages; documents, drops and bytes add up over the shards."""
    packages = tuple(cached(bench, f"p{n}", {f"p{n}/a.py": b"x = 1\n", f"p{n}/b.bin": b"\xff"}) for n in range(3))
    op = ir.FetchPackages(source="pypi", packages=packages)
    one, two = bench.run(fetch_packages, op), bench.run(fetch_packages, op, 2)
    assert text(one, "documents", "doc_id", "source", "repo", "path", "content") == "".join(
        f"pypi/p{n}@1.0/p{n}/a.py | pypi | p{n}@1.0 | p{n}/a.py | x = 1\n\n" for n in range(3)
    )
    assert text(two, "documents") == text(one, "documents")
    assert text(two, "dropped", "doc_id", "step", "rule") == "".join(
        f"pypi/p{n}@1.0/p{n}/b.bin | fetch | undecodable\n" for n in range(3)
    )
    assert one.manifest["stats"] == {"in": 6, "kept": 3, "dropped": {"undecodable": 3}, "packages": 3, "bytes": 18}
    assert [stats["packages"] for stats in two.manifest["stats"]] == [1, 2]
