"""Plan: what `compile` writes and everything else reads. Tasks, their inputs, resources, SQL and identity.

Plain frozen data that round-trips through JSON by cattrs. It holds no absolute path, no time and no machine's
name, so the same spec gives the same bytes anywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn

from compiler import canonical
from compiler.errors import UserError
from compiler.files import write_atomically
from compiler.ir import OPERATORS, Operator

FORMAT_VERSION = 2
PLAN_FILE = "plan.json"

T = TypeVar("T")
TaskClass = Literal["fetch", "data", "group", "train", "eval"]


@attrs.frozen(kw_only=True)
class Input:
    """An upstream task's artefact, under the role that the operator knows it by."""

    role: str
    task: str


@attrs.frozen(kw_only=True)
class Resources:
    """What one shard asks for; `disk_mb` is what it may spill to temporary disk, None where that is not known.

    `seconds` is the expected wall time of one shard, None where that is not known.
    """

    task_class: TaskClass = "data"
    cpus: int = 1
    memory_mb: int = 2048
    disk_mb: int | None = 0
    gpus: int = 0
    nodes: int = 1
    seconds: int | None = None


@attrs.frozen(kw_only=True)
class Task:
    """One node of the graph. `spec_paths` are the places in the spec that it came from.

    `fingerprint` identifies its operator on what it reads, `operator` the former alone.
    """

    id: str
    op: Operator
    inputs: tuple[Input, ...] = ()
    shards: int = 1
    resources: Resources = Resources()
    spec_paths: tuple[str, ...] = ()
    origin: str = ""
    sql: dict[str, str] = attrs.field(factory=dict)
    fingerprint: str = ""
    operator: str = ""

    @property
    def upstream(self) -> tuple[str, ...]:
        """Ids of the tasks that this one reads, each once."""
        return tuple(dict.fromkeys(item.task for item in self.inputs))

    def by_role(self, known: Mapping[str, T]) -> dict[str, list[T]]:
        """What is known, by task, of all that this one reads: per role, in the order of its inputs."""
        roles: dict[str, list[T]] = {}
        for item in self.inputs:
            roles.setdefault(item.role, []).append(known[item.task])
        return roles


@attrs.frozen(kw_only=True)
class SourceSummary:
    """What was known of a source when the plan was made: what it declares, and what its files tell; None: not known.

    `documents` are declared, else rows of Parquet. `text_bytes` and `tokens` are declared. `stored_bytes` are those of
    the files, as `format` keeps them. Sizes are for estimates alone: no task is identified by them.
    """

    name: str
    format: str = ""
    documents: int | None = None
    text_bytes: int | None = None
    tokens: int | None = None
    stored_bytes: int | None = None


@attrs.frozen(kw_only=True)
class StageSummary:
    """A stage in plain integers."""

    name: str
    kind: str
    task: str
    steps: int
    tokens: int
    instances: int
    devices: int
    first_lr: float
    last_lr: float
    flops: int
    batches: tuple[dict[str, int], ...] = ()
    start_step: int | None = None


@attrs.frozen(kw_only=True)
class DedupSummary:
    """What a deduplication step catches: the collision curve of its bands and rows.

    `threshold` is that of the curve; `chosen_for` is the one that the spec gave, where the compiler chose bands and
    rows for it.
    """

    step: str
    granularity: str
    bands: int
    rows: int
    threshold: float
    curve: tuple[tuple[float, float], ...]
    chosen_for: float | None = None


@attrs.frozen(kw_only=True)
class Delta:
    """A value that was set from outside the spec: its place as diffs print it, what the spec says, what was set.

    Values are plain data as in `ocspec.schema.plain`. A delta is a record: it enters no fingerprint.
    """

    path: str
    before: Any = None
    after: Any = None


@attrs.frozen(kw_only=True)
class Plan:
    """A compiled experiment. `delta` is what was set of its spec from outside, by --set or as an arm of --sweep."""

    experiment: str
    spec: dict[str, Any]
    tasks: tuple[Task, ...]
    parameters: int
    parameters_without_embeddings: int
    stages: tuple[StageSummary, ...]
    deduplication: tuple[DedupSummary, ...] = ()
    delta: tuple[Delta, ...] = ()
    sources: tuple[SourceSummary, ...] = ()
    format_version: int = FORMAT_VERSION

    def task(self, task_id: str) -> Task:
        """The task of that id; KeyError where there is none."""
        return self._by_id[task_id]

    def find(self, task_id: str) -> Task | None:
        """The task of that id, or None."""
        return self._by_id.get(task_id)

    @cached_property
    def _by_id(self) -> dict[str, Task]:
        return {task.id: task for task in self.tasks}

    def preimage(self, task: Task) -> canonical.Tree:
        """What a task's fingerprint is the hash of: its operator, and the fingerprints of what it reads here."""
        return canonical.task_preimage(task.op, task.by_role(self._fingerprints))

    @cached_property
    def _fingerprints(self) -> dict[str, str]:
        return {task.id: task.fingerprint for task in self.tasks}

    def stage(self, name: str) -> StageSummary:
        """The stage of that name."""
        return next(stage for stage in self.stages if stage.name == name)

    def downstream(self, task_id: str) -> Iterator[Task]:
        """Tasks that read this one's artefact directly."""
        return (task for task in self.tasks if task_id in task.upstream)


class _Part:
    """A value that several tasks of a file have, and what it was read as: once for each type that it stands for."""

    def __init__(self, plain: Any) -> None:
        self.plain = plain
        self.read: dict[Any, Any] = {}


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    converter.register_unstructure_hook(Fraction, str)
    converter.register_structure_hook(Fraction, lambda value, _: Fraction(value))
    # Made for an operator when a plan has one: of the catalogue most plans have few, and a verb goes one way only.
    to_dict = cache(lambda op_id: make_dict_unstructure_fn(OPERATORS[op_id], converter))

    def read(value: Any, of: Any) -> Any:
        if not isinstance(value, _Part):
            return converter.structure(value, of)
        if of not in value.read:
            value.read[of] = converter.structure(value.plain, of)
        return value.read[of]

    @cache
    def from_dict(op_id: str) -> Callable[[Mapping[str, Any], Any], Any]:
        cls = OPERATORS[op_id]
        fields = {field.name: cattrs.override(struct_hook=read) for field in attrs.fields(cls)}  # type: ignore[arg-type]
        return make_dict_structure_fn(cls, converter, **fields)  # type: ignore[arg-type]

    def unstructure(op: Operator) -> dict[str, Any]:
        return {"op": op.op_id, "version": op.op_version, **to_dict(op.op_id)(op)}

    def structure(value: dict[str, Any], _: Any) -> Operator:
        fields = {k: v for k, v in value.items() if k not in {"op", "version"}}
        cls = OPERATORS.get(value["op"])
        if cls is None or cls.op_version != value["version"]:
            raise UserError(
                f"it uses operator {value['op']}/{value['version']}, which this ocspec does not have",
                fix="compile the spec again",
            )
        found: Operator = from_dict(cls.op_id)(fields, cls)
        return found

    converter.register_unstructure_hook_func(
        lambda cls: isinstance(cls, type) and issubclass(cls, Operator), unstructure
    )
    converter.register_structure_hook(Operator, structure)
    return converter


CONVERTER = _converter()


def dumps(plan: Plan) -> str:
    """The plan as JSON text. Keys stand as they are: the order of a spec's steps and stages is that of their keys.

    A line for each task, so that two plans can be compared by lines. What several tasks have in their operators or
    queries stands once, in `shared`, and its number where it belongs.
    """
    data = CONVERTER.unstructure(plan, Plan)
    data["shared"] = _take_out(data["tasks"])
    return seal(data)


DIGEST = ',\n"digest": '


def seal(data: Mapping[str, Any]) -> str:
    """A plan's JSON, closed by the SHA-256 of all before it.

    Names of tasks are those of what they do: a plan that was edited would give what it makes the names of something
    else, and who compiles that finds it built.
    """
    lines = [f"{json.dumps(name)}: {_lines(value)}" for name, value in data.items() if name != "digest"]
    body = "{\n" + ",\n".join(lines)
    return f'{body}{DIGEST}"{_digest(body)}"\n}}\n'


def _is_sealed(text: str) -> bool:
    """Whether the text ends with the digest of all before it: of keys that come twice the last one would be read."""
    body = text.rpartition(DIGEST)[0]
    return text.rstrip() == f'{body}{DIGEST}"{_digest(body)}"\n}}'


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode(errors="surrogatepass")).hexdigest()


def _lines(value: Any) -> str:
    """JSON, with the items of a list on lines of their own."""
    if not isinstance(value, list) or not value:
        return json.dumps(value, allow_nan=False)
    return "[\n" + ",\n".join(json.dumps(item, allow_nan=False) for item in value) + "\n]"


REFERENCE = "$shared"
LEAST_SHARED = 100
"""Characters of a text that it is worth to look for elsewhere."""


def _take_out(tasks: list[dict[str, Any]]) -> list[Any]:
    """What was taken out of tasks, in the order in which it comes; in their places are now references to it."""
    places: dict[str, list[tuple[dict[str, Any], str]]] = {}
    for task in tasks:
        for holder in (task["op"], task["sql"]):
            for name, value in holder.items():
                if isinstance(value, str | list | dict):
                    text = json.dumps(value, allow_nan=False)
                    if len(text) >= LEAST_SHARED or _is_reference(value):
                        places.setdefault(text, []).append((holder, name))
    several = [each for text, each in places.items() if len(each) > 1 or len(text) < LEAST_SHARED]
    shared = [holder[name] for (holder, name), *_ in several]
    for number, each in enumerate(several):
        for holder, name in each:
            holder[name] = {REFERENCE: number}
    return shared


def _is_reference(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {REFERENCE}


def _put_back(data: dict[str, Any]) -> None:
    """The reverse, but for what is to be read once: that is a `_Part` now in every place that it has."""
    parts = {number: _Part(value) for number, value in enumerate(data.pop("shared"))}
    for task in data["tasks"]:
        for name, value in task["op"].items():
            if _is_reference(value):
                task["op"][name] = parts[value[REFERENCE]]
        for name, value in task["sql"].items():
            if _is_reference(value):
                task["sql"][name] = parts[value[REFERENCE]].plain


def loads(text: str, where: str = "plan") -> Plan:
    """Read a plan back; a UserError for one that this version cannot read."""
    try:
        data = json.loads(text)
        version = data.get("format_version") if isinstance(data, dict) else None
        if version is None:
            raise UserError("not a plan (no format_version)", where=where, fix="compile the spec again")
        if type(version) is not int or version != FORMAT_VERSION:
            raise UserError(
                f"format_version is {version!r}, this ocspec reads {FORMAT_VERSION}",
                where=where,
                fix="compile the spec again",
            )
        if not _is_sealed(text):
            raise UserError(
                "it is not as it was compiled: edited by hand, cut or damaged",
                where=where,
                fix="compile the spec again; what it should say otherwise is said in the spec, or by --set",
            )
        del data["digest"]
        _put_back(data)
        return CONVERTER.structure(data, Plan)
    except cattrs.BaseValidationError as error:
        problems = cattrs.transform_error(error, format_exception=_format_exception)
        what = "; ".join(problems[:3]) + ("; ..." if len(problems) > 3 else "")
    except (ValueError, TypeError) as error:
        what = str(error)
    except RecursionError:
        what = "brackets in brackets in brackets"
    except (AttributeError, LookupError):
        what = "its tasks, or what they share, are not there"
    raise UserError(f"not a plan ({what})", where=where, fix="compile the spec again")


def _format_exception(error: BaseException, of_type: type | None) -> str:
    return error.what if isinstance(error, UserError) else cattrs.v.format_exception(error, of_type)


def load(path: Path) -> Plan:
    """Read plan.json, or the plan.json in a directory."""
    file = path / PLAN_FILE if path.is_dir() else path
    try:
        return loads(file.read_text(encoding="utf-8", errors="replace"), str(file))
    except OSError as error:
        raise UserError(
            f"cannot be read ({error.strerror})", where=str(file), fix="run `ocspec compile SPEC`"
        ) from None


def save(plan: Plan, directory: Path) -> Path:
    """Write plan.json, aside and renamed."""
    file = directory / PLAN_FILE
    write_atomically(file, dumps(plan))
    return file
