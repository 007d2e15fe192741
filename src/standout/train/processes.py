"""One run in many processes: each makes its part of every batch, and all make the same step.

`torchrun`, `accelerate launch` and `mpirun` start the same command in each process and say in its environment how many
there are; accelerate joins them. On Slurm `srun` starts `torchrun` on each host; what it says itself is not read here.
In one message a step the processes average gradients, losses and running statistics; then all hold the same bits. The
first process alone writes.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from standout.errors import EXIT_USAGE, StandoutError
from standout.train.build import choose_device
from standout.train.stop import StoppedError

Value = TypeVar("Value")

COUNTS = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
NUMBERS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")
"""Where launchers say how many processes there are, and which of them this is, from 0."""


def launched() -> tuple[int, int]:
    """Return the number of this process and how many a launcher says there are; (0, 1) without one.

    Raises
    ------
    StandoutError : exit code 2; names a variable that holds no whole number.
    """
    count = max(1, *map(_whole, COUNTS))
    return (max(map(_whole, NUMBERS)), count) if count > 1 else (0, 1)


def _whole(name: str) -> int:
    text = os.environ.get(name, "")
    try:
        return int(text or 0)
    except ValueError as error:
        raise StandoutError(
            "processes", "environment variable holds no whole number", f"{name}={text}",
            "start with torchrun or accelerate launch, or unset it", exit_code=EXIT_USAGE,
        ) from error  # fmt: skip


class Processes:
    """A process among those of a run.

    Parameters
    ----------
    device : "auto", "cpu" or another device's name; of several processes each takes a graphics card of its own.
    minutes : after which a process that does not answer is taken for lost.

    Attributes
    ----------
    number, count : which one this is, from 0, and how many there are.
    device : where this one computes.

    Raises
    ------
    StandoutError : no such device, or the processes do not find each other; as `launched`.
    """

    def __init__(self, device: str, minutes: float) -> None:
        self.number, self.count = 0, 1
        _, asked = launched()
        self.device = choose_device("cpu" if asked > 1 and device == "auto" else device)
        if asked > 1:
            self._join(cpu=device == "cpu" or not torch.cuda.is_available(), minutes=minutes)

    def _join(self, *, cpu: bool, minutes: float) -> None:
        from accelerate.state import PartialState

        try:
            joined = PartialState(cpu=cpu, timeout=datetime.timedelta(minutes=minutes))
        except (RuntimeError, ValueError) as error:
            raise StandoutError(
                "processes", "processes do not find each other", str(error).splitlines()[0],
                "start them with torchrun or accelerate launch", exit_code=EXIT_USAGE,
            ) from error  # fmt: skip
        self.number, self.count, self.device = joined.process_index, joined.num_processes, joined.device
        atexit.register(_leave)

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes."""
        return self.number == 0

    @torch.no_grad()
    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, all in one message.

        Raises
        ------
        StandoutError : a process is lost.
        """
        if self.count == 1 or not tensors:
            return
        message = torch.cat([tensor.reshape(-1).to(torch.float32) for tensor in tensors])
        self._reduce(message)
        message /= self.count
        place = 0
        for tensor in tensors:
            tensor.copy_(message[place : place + tensor.numel()].view(tensor.shape))
            place += tensor.numel()

    def mean_of(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the mean of each number over the processes, which all have the same names."""
        means = torch.tensor(list(values.values()), dtype=torch.float32, device=self.device)
        self.average([means] if values else [])
        return dict(values) if self.count == 1 else dict(zip(values, means.tolist(), strict=True))

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.count == 1:
            return flag
        message = torch.tensor([float(flag)], device=self.device)
        self._reduce(message)
        return bool(message.item() > 0)

    def share(self, value: Value, source: int = 0) -> Value:
        """Return one process's value, of what JSON can hold, in all.

        Parameters
        ----------
        source : the number of that process.

        Raises
        ------
        StandoutError : a process is lost.
        """
        if self.count == 1:
            return value
        text = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8).to(self.device)
        length = torch.tensor([len(text)], device=self.device)
        with self._others():
            torch.distributed.broadcast(length, source)
            if self.number != source:
                text = torch.empty(int(length.item()), dtype=torch.uint8, device=self.device)
            torch.distributed.broadcast(text, source)
        shared: Value = json.loads(bytes(text.cpu().tolist()))
        return shared

    def joined(self, items: Sequence[Value]) -> list[Value]:
        """Return the items of all processes, of what JSON can hold, in the processes' order; all must ask together.

        Raises
        ------
        StandoutError : a process is lost.
        """
        return [item for number in range(self.count) for item in self.share(list(items), number)]

    def in_first(self, work: Callable[[], Value]) -> Value | None:
        """Do work in the first process alone, while the others wait; return its result there and None in these.

        Raises
        ------
        StoppedError : a signal stopped the work.
        StandoutError : the work failed, or a process is lost.
        """
        if self.count == 1:
            return work()
        result: Value | None = None
        error: StandoutError | StoppedError | None = None
        if self.first:
            try:
                result = work()
            except (StandoutError, StoppedError) as raised:
                error = raised
        ended = self.share("failed" if isinstance(error, StandoutError) else "stopped" if error else "")
        if error is not None:
            raise error
        if ended == "stopped":
            raise StoppedError
        if ended:
            raise _another_failed()
        return result

    def from_first(self, work: Callable[[], Value]) -> Value:
        """Do work in the first process alone and return its result, of what JSON can hold, in all; as `in_first`."""
        shared: Value = self.share(self.in_first(work))  # type: ignore[assignment]
        return shared

    @contextlib.contextmanager
    def agreed(self) -> Iterator[None]:
        """Leave the block in all processes or fail in all; in it, processes must not wait for each other.

        Raises
        ------
        StandoutError : the own failure, or that another process failed.
        """
        error: StandoutError | None = None
        try:
            yield
        except StandoutError as raised:
            error = raised
        failed = self.any(error is not None)
        if error is not None:
            raise error
        if failed:
            raise _another_failed()

    def same(self, what: str, value: object) -> None:
        """Refuse to go on where this process's value is not the first one's.

        Raises
        ------
        StandoutError : exit code 2.
        """
        own, first = str(value), self.share(str(value))
        with self.agreed():
            if own != first:
                raise StandoutError(
                    "processes-differ", f"processes have different {what}", f"{own} here and {first} in the first",
                    "give all hosts the same files and versions", exit_code=EXIT_USAGE,
                )  # fmt: skip

    def _reduce(self, message: Tensor) -> None:
        with self._others():
            torch.distributed.all_reduce(message)

    @contextlib.contextmanager
    def _others(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise StandoutError(
                "process-lost", "another process of this run is lost", str(error).splitlines()[0][:200],
                "start all of them again with --resume",
            ) from error  # fmt: skip


def check_parts(batch: int, parts: int) -> None:
    """Refuse batches that processes, and the parts that each takes its own in, cannot share evenly.

    Raises
    ------
    StandoutError : exit code 2.
    """
    if batch % parts:
        raise StandoutError(
            "batch-parts", f"a batch of {batch} has no {parts} equal parts", "training.batch",
            f"take a multiple of {parts}; it is the batch of all processes and parts together", exit_code=EXIT_USAGE,
        )  # fmt: skip


def _leave() -> None:
    # Without it the framework complains at the end; a process that fails just closes its connections.
    if torch.distributed.is_initialized() and sys.exc_info()[0] is None:
        with contextlib.suppress(RuntimeError):
            torch.distributed.destroy_process_group()


def _another_failed() -> StandoutError:
    return StandoutError("process-failed", "another process of this run failed", "see its message", "then resume")
