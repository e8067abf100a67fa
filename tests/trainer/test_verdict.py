"""Whose fault an end was, in the cases that are hard to stage with real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from scaletune_trainer import cgroup, failure, wire
from scaletune_trainer.failure import Failure, Kind, UserError, VolumeError
from scaletune_trainer.launch import Ended, WorkerEnd
from scaletune_trainer.record import Record
from scaletune_trainer.verdict import Circumstances, first_failure, judge
from scaletune_trainer.wire import Reason

PROGRESS = wire.ReportEntry(1, 0.0, 1, 0, {"loss": 1.0}, 0.0)
LATE = Failure(Kind.EXCEPTION, "connection closed by peer", 20.5)
EARLY = Failure(Kind.EXCEPTION, "index out of range", 20.1)


def record(*entries: wire.Entry) -> Record:
    found = Record("loss")
    for entry in entries:
        found.apply(entry)
    return found


@pytest.mark.parametrize(
    ("failures", "seen", "first"),
    [
        pytest.param({0: 1, 1: 1}, {0: LATE, 1: EARLY}, 1, id="by the workers' clocks"),
        pytest.param({0: 1, 1: -9}, {0: LATE}, 1, id="killed before those who miss it"),
        pytest.param({0: -15, 1: 1}, {}, 1, id="torchrun's own SIGTERM last"),
        pytest.param({0: 2, 1: 1}, {1: LATE}, 1, id="a known time before an unknown"),
        pytest.param({0: 1, 1: 1}, {}, 0, id="nothing known"),
    ],
)
def test_the_first_failure_is_the_cause(
    failures: dict[int, int], seen: dict[int, Failure], first: int
) -> None:
    ends = [WorkerEnd(rank, code) for rank, code in failures.items()]

    assert first_failure(ends, seen)[0].local_rank == first


@pytest.mark.parametrize(
    ("kind", "code", "oom_killed", "progress", "reason"),
    [
        pytest.param(Kind.EXCEPTION, 1, False, False, Reason.USER_ERROR, id="early exception"),
        pytest.param(Kind.EXCEPTION, 1, False, True, Reason.CRASHED, id="late exception"),
        pytest.param(Kind.USER, 1, False, True, Reason.USER_ERROR, id="UserError at any time"),
        pytest.param(Kind.MEMORY, 1, False, True, Reason.OUT_OF_MEMORY, id="MemoryError"),
        pytest.param(None, -9, True, True, Reason.OUT_OF_MEMORY, id="the kernel's killer"),
        pytest.param(None, -9, False, False, Reason.CRASHED, id="killed by somebody"),
        pytest.param(None, -11, False, False, Reason.CRASHED, id="a broken library"),
        pytest.param(None, 3, False, False, Reason.USER_ERROR, id="an exit code of its own"),
        pytest.param(Kind.INFRASTRUCTURE, 1, False, False, Reason.CRASHED, id="the volume"),
    ],
)
def test_the_kind_of_failure_decides_whose_it_is(
    kind: Kind | None, code: int, oom_killed: bool, progress: bool, reason: Reason
) -> None:
    seen = {0: Failure(kind, "words", 1.0)} if kind else {}
    journal = record(PROGRESS) if progress else record()
    around = Circumstances(oom_killed=oom_killed)

    assert judge(journal, Ended([WorkerEnd(0, code)]), seen, {0: ""}, around).reason is reason


def test_an_agreed_end_counts_whatever_came_after_it() -> None:
    journal = record(PROGRESS, wire.EndEntry(2, 0.0, Reason.PAUSED, 1, 1))
    ended = Ended([WorkerEnd(0, -6)], asked_to_leave=True)

    assert judge(journal, ended, {}, {}, Circumstances(stalled=True)).reason is Reason.PAUSED


def test_what_breaks_after_divergence_is_divergence() -> None:
    journal = record(wire.ReportEntry(1, 0.0, 1, 0, {"loss": float("inf")}, 0.0))

    verdict = judge(journal, Ended([WorkerEnd(0, 1)]), {0: EARLY}, {}, Circumstances())
    assert verdict.reason is Reason.DIVERGED


def test_what_torchrun_cannot_do_is_infrastructure() -> None:
    verdict = judge(record(), Ended(error="no rendezvous"), {}, {}, Circumstances())

    assert (verdict.reason, verdict.error) == (Reason.CRASHED, "no rendezvous")


class DistError(RuntimeError):
    """Named as torch names the failures of its collectives."""


class DistBackendError(DistError):
    """Named as torch names what NCCL says."""


class AcceleratorError(RuntimeError):
    """Named as torch names an error of the device."""


class OutOfMemoryError(RuntimeError):
    """Named as torch names a device without memory."""


ALLOC_FAILED = "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"
INVALID_USAGE = (
    "NCCL error in: NCCLUtils.cpp:93, invalid usage\nncclInvalidUsage: This usually reflects "
    "invalid usage of NCCL library.\nLast error:\nDuplicate GPU detected : rank 1 and rank 0 both"
)
NO_MEMORY = """torch.AcceleratorError: CUDA error: out of memory
CUDA kernel errors might be asynchronously reported at some other API call.
For debugging consider passing CUDA_LAUNCH_BLOCKING=1

[W1126 ProcessGroupNCCL.cpp:1575] Warning: destroy_process_group() was not called
"""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (UserError("x"), Kind.USER),
        (VolumeError("x"), Kind.INFRASTRUCTURE),
        (OSError(28, "No space left on device"), Kind.INFRASTRUCTURE),
        (FileNotFoundError(2, "data.txt"), Kind.EXCEPTION),
        (MemoryError(), Kind.MEMORY),
        (OutOfMemoryError(), Kind.MEMORY),
        (AcceleratorError("CUDA error: out of memory\nSearch for it"), Kind.MEMORY),
        (RuntimeError(ALLOC_FAILED), Kind.MEMORY),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying"), Kind.MEMORY),
        (DistBackendError("Last error:\nCuda failure 2 'out of memory'"), Kind.MEMORY),
        (ValueError("out of memory"), Kind.EXCEPTION),
        (DistError(), Kind.INFRASTRUCTURE),
        (DistBackendError("ncclRemoteError: the peer has gone"), Kind.INFRASTRUCTURE),
        (DistBackendError(INVALID_USAGE), Kind.EXCEPTION),
        (AcceleratorError("CUDA error: device-side assert triggered"), Kind.EXCEPTION),
        (AcceleratorError("CUDA error: uncorrectable ECC error"), Kind.INFRASTRUCTURE),
        (ValueError("x"), Kind.EXCEPTION),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_an_exception_has_a_kind(error: Exception, kind: Kind) -> None:
    assert failure.kind_of(error) is kind


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        pytest.param("Traceback:\n  x\nMemoryError\n", Kind.MEMORY, id="bare"),
        pytest.param("torch.OutOfMemoryError: CUDA out of\n  more", Kind.MEMORY, id="torch"),
        pytest.param("ValueError: MemoryError", Kind.EXCEPTION, id="only mentioned"),
        pytest.param(NO_MEMORY, Kind.MEMORY, id="the device, with good-byes after it"),
        pytest.param("", Kind.EXCEPTION, id="silence"),
    ],
)
def test_last_words_have_a_kind(words: str, kind: Kind) -> None:
    assert failure.kind_of_text(words) is kind


def test_a_quoted_traceback_is_not_half_of_marks() -> None:
    lines = [f"  File {number}\n    call({number})\n    ~~~~^^^" for number in range(9)]
    text = "\n".join([*lines, "ValueError: x"])

    quoted = failure.quoted(text).splitlines()
    assert (quoted[1], quoted[-1]) == ("  File 4", "ValueError: x")
    assert len(quoted) == 12


def test_an_unreadable_failure_is_none(tmp_path: Path) -> None:
    path = tmp_path / "failure"
    path.write_text('{"kind": "Memory"')

    assert Failure.read(path) is None
    assert Failure.read(tmp_path / "absent") is None


@pytest.mark.parametrize(
    ("membership", "file", "text"),
    [
        pytest.param("0::/a/b\n", "a/b/memory.events", "oom 5\noom_kill 2\n", id="v2"),
        pytest.param("0::/a/b\n", "memory.events", "oom_kill 2\n", id="v2, own namespace"),
        pytest.param(
            "7:cpu:/\n5:memory:/pod\n",
            "memory/pod/memory.oom_control",
            "under_oom 0\noom_kill 2\n",
            id="v1",
        ),
        pytest.param(
            "5:cpu,memory:/pod\n", "memory/memory.oom_control", "oom_kill 2\n", id="v1, own root"
        ),
    ],
)
def test_the_kernels_counter_is_found(
    tmp_path: Path, membership: str, file: str, text: str
) -> None:
    path = tmp_path / "mount" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    (tmp_path / "self").write_text(membership)

    assert cgroup.oom_kills(tmp_path / "self", tmp_path / "mount") == 2
    assert cgroup.oom_kills(tmp_path / "absent", tmp_path / "mount") == 0
