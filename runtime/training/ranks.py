"""The processes that train one model together, each on a part of every batch: how they meet, add up and agree.

Not a launcher (see `runtime.launch`), and not a split of the model: what each rank holds of it is `sharding`'s or the
back end's affair. NCCL between CUDA devices, Gloo between CPUs. A rank that dies ends the others: Gloo notices at once,
NCCL when COLLECTIVE_TIMEOUT is over, if the launcher has not ended them by then.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import attrs
import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]  # exported, but not by `__all__`

from compiler.errors import UserError
from runtime.interruption import Interrupted
from runtime.launch import Lost, Place, place

MEETING_TIMEOUT = timedelta(minutes=10)  # from the first rank's start to the last one's
COLLECTIVE_TIMEOUT = timedelta(minutes=30)  # the others wait this long at most while rank 0 writes a state
LOOK_AGAIN = timedelta(seconds=30)  # how often a waiting rank makes sure that rank 0 is alive
BUCKET = 1 << 25  # gradients added up in one call, in elements: 128 MiB
_DECISION, _HEARD = "decision", "heard"


@attrs.define(eq=False)
class Ranks:
    """A process among those of its job. Use `one` or `meet`; with one rank every method does nothing."""

    here: Place = attrs.field(factory=Place)
    _store: Any = None
    _device: torch.device = attrs.field(factory=lambda: torch.device("cpu"))
    _decided: bool = False

    @classmethod
    def one(cls) -> Self:
        """A process that trains alone."""
        return cls()

    @classmethod
    def meet(cls, environ: Mapping[str, str]) -> Self:
        """Wait until every rank is there, at the address in torchrun's variables; Lost where some do not come."""
        here, address = place(environ), environ["MASTER_ADDR"]
        port, ranks = int(environ["MASTER_PORT"]), cls(here)
        with ranks._in_touch(f"no meeting at {address}:{port} within {MEETING_TIMEOUT}"), _own_port(port, here):
            ranks._store = TCPStore(address, port, here.size, is_master=here.rank == 0, timeout=MEETING_TIMEOUT)
        return ranks

    @property
    def leads(self) -> bool:
        """Whether this is rank 0, the only one that writes."""
        return self.here.rank == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._store is None:
            return
        if self.leads and not self._decided:
            self._decide("failed" if error else "nothing")
            self._wait_until_heard()
        if not self.leads and isinstance(error, Interrupted):
            self.outlive_first()

    # -- before the training: is there something to do?

    def begin(self) -> None:
        """Rank 0 tells the others that there is work. Where it leaves without, they are told that there is none."""
        if self.here.size > 1:
            self._decide("train")

    def follow(self) -> bool:
        """Wait for rank 0, which looks for itself: whether there is work. Lost where it failed before it knew."""
        while True:
            with self._in_touch("rank 0 is gone"):
                try:
                    self._store.wait([_DECISION], LOOK_AGAIN)
                except dist.DistStoreError:  # not decided yet, and rank 0 answers
                    continue
                decision = self._store.get(_DECISION).decode()
                self._store.add(_HEARD, 1)
            if decision == "failed":
                raise self._lost("rank 0 failed before the training began")
            return bool(decision == "train")

    def _decide(self, what: str) -> None:
        self._decided = True
        self._store.set(_DECISION, what)

    def _wait_until_heard(self) -> None:
        """The others ask this process, so it stays until the last one knows, or for 30 s."""
        deadline = time.monotonic() + LOOK_AGAIN.total_seconds()
        while self._store.add(_HEARD, 0) < self.here.size - 1 and time.monotonic() < deadline:
            time.sleep(0.01)

    def outlive_first(self) -> None:
        """Where one rank's end ends all, rank 0 has to be the first: it puts things in order. For 30 s at most."""
        if self._store is None:
            return
        with suppress(RuntimeError):
            self._store.wait(["never"], LOOK_AGAIN)

    # -- the training

    @contextmanager
    def group(self, device: torch.device, *, always: bool = False) -> Iterator[None]:
        """The process group of the block, which all ranks enter and leave together; each with its own device.

        One rank alone has none, unless it `always` wants one: Megatron works in groups only.
        """
        if self.here.size == 1 and not always:
            yield
            return
        self._device = device
        cuda = device.type == "cuda"
        with self._in_touch("no process group"):
            dist.init_process_group(
                "nccl" if cuda else "gloo",
                store=PrefixStore("group", self._store) if self._store else dist.HashStore(),  # type: ignore[attr-defined]
                rank=self.here.rank,
                world_size=self.here.size,
                timeout=COLLECTIVE_TIMEOUT,
                device_id=device if cuda else None,
            )
        yield  # after an error the group is left as it is: to take it down could wait for ranks that are gone
        self.barrier()
        dist.destroy_process_group()

    def add_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace each gradient by the sum over ranks, in its own precision; the same bits on every rank."""
        if self.here.size == 1:
            return
        for bucket in _buckets([_gradient(parameter) for parameter in parameters]):
            flat = torch.cat([gradient.flatten() for gradient in bucket])
            with self._in_touch("gradients"):
                dist.all_reduce(flat)
            for gradient, total in zip(bucket, torch.split(flat, [g.numel() for g in bucket]), strict=True):
                gradient.copy_(total.view_as(gradient))

    def sum(self, value: float) -> float:
        """The sum over ranks, in float64."""
        return float(self._reduced(value, torch.float64, dist.ReduceOp.SUM))

    def add(self, values: Tensor) -> Tensor:
        """The sum over ranks of each of these numbers."""
        if self.here.size > 1:
            with self._in_touch("numbers that all need"):
                dist.all_reduce(values)
        return values

    def any(self, flag: bool) -> bool:
        """Whether the flag is up on some rank."""
        return bool(self._reduced(flag, torch.int32, dist.ReduceOp.MAX))

    def agree(self, number: int) -> int:
        """Rank 0's number."""
        return int(self._reduced(number if self.leads else 0, torch.int64, dist.ReduceOp.SUM))

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Overwrite these tensors with rank 0's."""
        for tensor in tensors if self.here.size > 1 else ():
            with self._in_touch("the state to start from"):
                dist.broadcast(tensor.detach(), src=0)

    def barrier(self) -> None:
        """Wait until every rank is here."""
        self.any(False)

    def _reduced(self, value: float, dtype: torch.dtype, how: Any) -> float:
        if self.here.size == 1:
            return value
        tensor = torch.tensor(value, dtype=dtype, device=self._device)
        with self._in_touch("a number that all need"):
            dist.all_reduce(tensor, how)
            return tensor.item()

    @contextmanager
    def computing(self) -> Iterator[None]:
        """A computation in which torch talks to the other ranks by itself: Lost where one of them is gone."""
        try:
            yield
        except RuntimeError as error:
            if isinstance(error, dist.DistError) or "gloo" in str(error):
                raise self._lost(f"weights or gradients ({str(error).splitlines()[0]})") from error
            raise

    @contextmanager
    def _in_touch(self, what: str) -> Iterator[None]:
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise self._lost(f"{what} ({str(error).splitlines()[0]})") from error

    def _lost(self, what: str) -> Lost:
        return Lost(f"lost the other ranks: {what}", fix="read the log of the rank that ended first; this one is well")


@contextmanager
def _own_port(port: int, here: Place) -> Iterator[None]:
    """Rank 0 opens the port: where another program has it, that is this rank's own trouble and not the others'."""
    try:
        yield
    except RuntimeError as error:
        if here.rank == 0 and "address already in use" in str(error).lower():
            fix = "submit again: another job meets at another port"
            raise UserError(f"port {port}, where the ranks were to meet, is taken on this machine", fix=fix) from error
        raise


def _gradient(parameter: torch.nn.Parameter) -> Tensor:
    """The gradient; zeros where no token of this rank's part had one."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad


def _buckets(gradients: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Runs of gradients, each of about BUCKET elements."""
    bucket: list[Tensor] = []
    for gradient in gradients:
        bucket.append(gradient)
        if sum(held.numel() for held in bucket) >= BUCKET:
            yield bucket
            bucket = []
    if bucket:
        yield bucket
