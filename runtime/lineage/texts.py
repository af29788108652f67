"""The texts of a few documents or chunks, as their sources have them now. Redacted where they are to be shown."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from compiler import ir
from runtime.data.redact import redact
from runtime.lineage.find import all_records
from runtime.lineage.recorded import Records, is_by_chunk
from runtime.lineage.reread import Reread, Rereader
from runtime.report.built import Built


class Shown(NamedTuple):
    """A document to be shown: its redacted text, and its path in its repository."""

    text: str
    path: str


def shown(records: Records, base: Path, names: Collection[str]) -> dict[str, Shown]:
    """Documents of a data set by id, with copyright notices and personal data taken out as refine does.

    Documents that were never admitted are found in the source by their id. What is gone or no text is left out.
    """
    languages = {name: key["language"] for name, key in records.keys(names).items()}
    found = {}
    for document in _reread(records, base, names):
        if document.batch is not None:
            text, path = (str(document.batch.column(name)[0]) for name in ("content", "path"))
            found[document.doc_id] = Shown(_redacted(records, text, languages.get(document.doc_id)), path)
    return found


def chunk_texts(records: Records, base: Path, names: Collection[str]) -> dict[str, str]:
    """Texts of chunks, called DOCUMENT#NUMBER, redacted as documents are."""
    owners = {name: name.rpartition("#")[0] for name in names}
    keys = records.keys(set(owners.values()))
    raw = {
        document.doc_id: str(document.batch.column("content")[0]).encode()
        for document in _reread(records, base, set(owners.values()))
        if document.batch is not None
    }
    found = {}
    for name, owner in owners.items():
        if owner in keys and owner in raw:
            start, stop = records.chunk(keys[owner]["position"], int(name.rpartition("#")[2]))
            text = raw[owner][start:stop].decode("utf-8", "replace")
            found[name] = _redacted(records, text, keys[owner]["language"])
    return found


def step_texts(records: Records, base: Path, task_id: str, names: Collection[str]) -> dict[str, str]:
    """Texts of what a step drops: of chunks or of documents."""
    task = next(task for task in records.steps if task.id == task_id)
    if is_by_chunk(task):
        return chunk_texts(records, base, names)
    return {name: one.text for name, one in shown(records, base, names).items()}


def shown_anywhere(built: Built, base: Path, names: Collection[str]) -> dict[str, str]:
    """Redacted texts of admitted documents, whichever data set has them."""
    found: dict[str, str] = {}
    for records in all_records(built):
        own = records.keys(set(names) - found.keys())
        found |= {name: one.text for name, one in shown(records, base, own).items()} if own else {}
    return found


def text_anywhere(built: Built, base: Path, name: str) -> str | None:
    """The text of an admitted document of any data set, not redacted."""
    for records in all_records(built):
        if records.keys([name]):
            batches = [document.batch for document in _reread(records, base, [name])]
            return next((str(batch.column("content")[0]) for batch in batches if batch is not None), None)
    return None


def _redacted(records: Records, text: str, language: str | None) -> str:
    op = records.trail.refine.op
    assert isinstance(op, ir.Refine)
    return redact(text, language, copyright=op.redact_copyright, pii=op.redact_pii).text


def _reread(records: Records, base: Path, names: Collection[str]) -> list[Reread]:
    rereader = Rereader.of(records.trail.sign, records.built, base)
    positions = {name: key["position"] for name, key in records.keys(names).items()}
    unknown = set(names) - positions.keys()
    positions |= rereader.find(unknown) if unknown else {}
    return [document for document in rereader.at(positions.values()) if document.doc_id in positions]
