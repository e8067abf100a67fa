"""The programs of a cluster: found, or built from Go modules and kept for the next time.

All of Kubernetes that we need is one program that acts by the name it is called under (etcd,
kube-apiserver, ..., kubectl); CoreDNS, helm and Prometheus are others (Debian builds its Prometheus
without the discovery of pods). Each is looked for in this order, and the first found is taken:

1. the file named by its variable: SCALETUNE_KUBECLUSTER, SCALETUNE_COREDNS, SCALETUNE_HELM or
   SCALETUNE_PROMETHEUS;
2. NAME or NAME.xz in the folder named by SCALETUNE_PROGRAMS;
3. the cache outside the repository, under a name that is a hash of the sources it was built from;
4. `go build` of those sources, into the cache.
"""

import contextlib
import hashlib
import lzma
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.daemons import Progress
from tests.cluster.faults import ClusterError, Missing

SOURCES = Path(__file__).parent / "go"
KUBERNETES = "1.34.4"


@dataclass(frozen=True)
class Program:
    """One program that is built from a folder of Go sources.

    `package` is what is built: that folder, or a package of a module that its go.mod requires.
    """

    name: str
    minutes: int
    linker_flags: tuple[str, ...] = ()
    package: str = "."
    tags: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        return f"SCALETUNE_{self.name.upper()}"

    @property
    def sources(self) -> Path:
        return SOURCES / self.name

    @property
    def digest(self) -> str:
        """What the program is made of, as a short hash."""
        options = (self.linker_flags, self.package, self.tags)
        content = hashlib.sha256(repr(options).encode())
        for path in sorted(self.sources.iterdir()):
            content.update(path.name.encode() + b"\0" + path.read_bytes())
        return content.hexdigest()[:16]


_VERSION = "k8s.io/component-base/version"
_MAJOR, _MINOR, _ = KUBERNETES.split(".")
KUBECLUSTER = Program(
    "kubecluster",
    minutes=10,
    # Without a version the API server believes it is 0.0, and refuses to emulate itself.
    linker_flags=(
        f"-X {_VERSION}.gitVersion=v{KUBERNETES}",
        f"-X {_VERSION}.gitMajor={_MAJOR}",
        f"-X {_VERSION}.gitMinor={_MINOR}",
    ),
)
COREDNS = Program("coredns", minutes=2)
HELM = Program("helm", minutes=2, package="helm.sh/helm/v3/cmd/helm")
PROMETHEUS = Program(
    "prometheus",
    minutes=4,
    package="github.com/prometheus/prometheus/cmd/prometheus",
    tags=("remove_all_sd", "enable_kubernetes_sd", "netgo"),
)
ALL = (KUBECLUSTER, COREDNS, HELM, PROMETHEUS)


def cache() -> Path:
    """Where built programs and images are kept between runs, outside the repository."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "scaletune"


def find(program: Program, progress: Progress) -> Path:
    """The program's file; unpacked or built if need be."""
    if given := _given(program):
        return _unpacked(program, given, progress)
    if not _built(program).is_file():
        _build(program, progress)
    return _built(program)


def lacking(program: Program) -> str | None:
    """Why the program cannot be had, with the remedy; None if it can."""
    try:
        if _given(program) or _built(program).is_file() or shutil.which("go"):
            return None
    except Missing as missing:
        return " ".join(missing.remedies)
    return (
        f"{program.name} must be built and there is no Go: install Go 1.26 or newer (go.dev/dl), "
        f"or name a built one in {program.variable}."
    )


def _given(program: Program) -> Path | None:
    """The file that the developer's variables lead to."""
    if named := os.environ.get(program.variable):
        if not Path(named).is_file():
            raise Missing([f"{program.variable} names {named}, which is not a file."])
        return Path(named)
    if folder := os.environ.get("SCALETUNE_PROGRAMS"):
        candidates = (Path(folder) / program.name, Path(folder) / f"{program.name}.xz")
        return next(filter(Path.is_file, candidates), None)
    return None


def _built(program: Program) -> Path:
    return cache() / f"{program.name}-{program.digest}"


def _unpacked(program: Program, path: Path, progress: Progress) -> Path:
    if path.suffix != ".xz":
        return path
    status = path.stat()
    mark = hashlib.sha256(f"{path.resolve()} {status.st_size} {status.st_mtime_ns}".encode())
    target = cache() / f"{program.name}-given-{mark.hexdigest()[:16]}"
    if not target.is_file():
        progress(f"unpacking {path}")
        with new_file(target) as unpacked, lzma.open(path) as packed, unpacked.open("wb") as output:
            shutil.copyfileobj(packed, output, 1 << 20)
        target.chmod(0o755)
    return target


def _build(program: Program, progress: Progress) -> None:
    if reason := lacking(program):
        raise Missing([reason])
    progress(
        f"building {program.name} with Go, once: about {program.minutes} minutes on two cores, "
        f"kept in {cache()}"
    )
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false -mod=readonly"}
    flags = " ".join(("-s", "-w", *program.linker_flags))
    options = ["-trimpath", "-tags", ",".join(program.tags), "-ldflags", flags]
    with new_file(_built(program)) as output:
        done = subprocess.run(
            ["go", "build", *options, "-o", output, program.package],
            cwd=program.sources,
            env=environment,
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise ClusterError(f"Building {program.name} failed:\n{done.stderr.strip()}")


@contextlib.contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """A place to write a cached file to; it appears under its name only when it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        unfinished = Path(folder) / target.name
        yield unfinished
        unfinished.replace(target)
