"""The operator's image, built as users build it: `make operator-image`, with buildah.

Only its base is our own, so that no registry is needed: the image that pods of the test cluster
run, and for the stage in which Python packages are installed one with pip. The packages come from
where the machine's own pip takes them, and are kept as wheels outside the repository.
"""

import hashlib
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from tests.cluster import images
from tests.cluster.daemons import Progress
from tests.cluster.faults import ClusterError
from tests.cluster.programs import cache

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NAME = f"localhost/scaletune-operator:{PROJECT['project']['version']}"
"""What the chart runs by default."""
_WHEELS = "/wheels"


def build(output: Path, progress: Progress) -> None:
    """Build the image of the sources as they are, and write it as an OCI archive."""
    storage = Path(tempfile.mkdtemp(prefix="scaletune-buildah-"))
    try:
        buildah = ["buildah", "--root", str(storage / "root"), "--runroot", str(storage / "run")]
        buildah += ["--storage-driver", "vfs"]
        arguments = {
            "BUILD_BASE": _source(progress, images.BUILDING),
            "PIP_ARGUMENTS": f"--no-index --find-links {_WHEELS}",
        }
        options = ["--isolation", "chroot", "--volume", f"{wheels(progress)}:{_WHEELS}:ro"]
        for key, value in arguments.items():
            options += ["--build-arg", f"{key}={value}"]
        given = {
            "BUILD": shlex.join([*buildah, "build", *options]),
            "BASE": _source(progress, images.PODS),
            "IMAGE": NAME,
        }
        _run("make", "operator-image", *(f"{key}={value}" for key, value in given.items()))
        _run(*buildah, "push", NAME, f"oci-archive:{output}:{NAME}")
    finally:
        shutil.rmtree(storage)


def wheels(progress: Progress) -> Path:
    """A folder with all that the operator and its building need; made if it is not in the cache."""
    project = PROJECT["project"]
    needs = [
        *PROJECT["build-system"]["requires"],
        *project["dependencies"],
        *project["optional-dependencies"]["kubernetes"],
    ]
    made = cache() / f"wheels-{hashlib.sha256(repr(sorted(needs)).encode()).hexdigest()[:16]}"
    if not made.is_dir():
        progress(f"collecting the packages of the operator's image, once, kept in {made.parent}")
        made.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=made.parent) as folder:
            _run(sys.executable, "-m", "pip", "wheel", "--wheel-dir", f"{folder}/all", *needs)
            Path(folder, "all").rename(made)
    return made


def _source(progress: Progress, image: images.Image) -> str:
    return f"oci-archive:{images.archive(progress, image)}"


def _run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()[-12:]
        raise ClusterError("\n".join([f"`{' '.join(command)}` failed:", *said]))
