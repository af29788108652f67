"""Finding a document by what somebody remembers of its id. It reads ids only."""

from __future__ import annotations

from collections.abc import Sequence

from compiler.errors import UserError
from runtime.lineage.recorded import Records, connection
from runtime.lineage.trail import trails
from runtime.report.built import Built

MOST = 10
"""Candidates that are listed."""


def all_records(built: Built) -> list[Records]:
    """The records of every data set, in the plan's order."""
    return [Records(built=built, trail=trail) for trail in trails(built.plan)]


def find(built: Built, wanted: str) -> str:
    """The id of the document that is meant: the id itself, or an ending or part of it that no other id has.

    Raises UserError with candidates where several ids have it, with the nearest ids where none has, and with the
    command to run where no data set is built.
    """
    files = _id_files(built)
    if not files:
        what = f"no data set of {built.plan.experiment!r} is built yet, so no document is known"
        raise UserError(
            what, where=str(built.directory), fix="run `ocspec submit` first; `ocspec status` shows how far it is"
        )
    for condition in ("doc_id = $wanted", "suffix(doc_id, $wanted)", "contains(doc_id, $wanted)"):
        found = _ids(files, f"WHERE {condition} ORDER BY doc_id LIMIT {MOST + 1}", wanted)
        if len(found) == 1:
            return found[0]
        if found:
            listed = "".join(f"\n    {name}" for name in found[:MOST])
            more = f"\n    ... (the first {MOST} are shown)" if len(found) > MOST else ""
            raise UserError(f"{wanted!r} is part of several ids:{listed}{more}", fix="give the whole id")
    near = _ids(files, "ORDER BY jaro_winkler_similarity(doc_id, $wanted) DESC, doc_id LIMIT 3", wanted)
    fix = f"did you mean {' or '.join(near)}?" if near else "look at the sources: they gave no document"
    raise UserError(f"no document of {built.plan.experiment!r} has {wanted!r} in its id", fix=fix)


def _id_files(built: Built) -> list[str]:
    """Files that together hold the id of every document that any data set saw."""
    files: dict[str, None] = {}
    for records in all_records(built):
        for task in records.steps:
            if task == records.trail.sign or task not in records.trail.steps:
                files |= dict.fromkeys(records.files(task, "dropped"))
        files |= dict.fromkeys(records.files(records.trail.sign, "keys"))
    return list(files)


def _ids(files: Sequence[str], rest: str, wanted: str) -> list[str]:
    query = f"FROM (SELECT DISTINCT doc_id FROM read_parquet($files, union_by_name = true)) {rest}"  # noqa: S608
    with connection() as duck:
        return [name for (name,) in duck.execute(query, {"files": list(files), "wanted": wanted}).fetchall()]
