"""The image that pods of the test cluster run: made once, kept outside the repository.

No registry is needed: debootstrap makes the root file system from the Debian mirror, buildah makes
an OCI archive of it after the Dockerfile beside this, and every node imports the archive (node.py).
"""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.daemons import Progress
from tests.cluster.faults import ClusterError
from tests.cluster.programs import cache, new_file

SUITE = "bookworm"
# The Python of that suite; packages mounted into a pod must have been installed for the same.
PYTHON = (3, 11)
# Not needed to run Python, and half of the size.
LEFT_OUT = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale")
_RECIPE = Path(__file__).parent / "image" / "Dockerfile"


@dataclass(frozen=True)
class Image:
    """Debian with some packages."""

    name: str
    packages: tuple[str, ...]


PODS = Image("localhost/scaletune-test:1", ("python3-minimal", "libpython3-stdlib"))
BUILDING = Image("localhost/scaletune-test-building:1", (*PODS.packages, "python3-venv"))
"""What an image with Python packages can be built in; never run as a pod."""
NAME = PODS.name


def archive(progress: Progress, image: Image = PODS) -> Path:
    """The image as an OCI archive; made if it is not in the cache."""
    parts = repr((SUITE, image.packages, LEFT_OUT, image.name, _RECIPE.read_text()))
    made = cache() / f"image-{hashlib.sha256(parts.encode()).hexdigest()[:16]}.tar"
    if not made.is_file():
        progress(f"making the image {image.name}, once: half a minute, kept in {made.parent}")
        with new_file(made) as output:
            _make(image, output)
    return made


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()[-12:]
        raise ClusterError("\n".join([f"`{' '.join(command)}` failed:", *said]))


def _make(image: Image, output: Path) -> None:
    folder = Path(tempfile.mkdtemp(dir=output.parent))
    try:
        root, context = folder / "root", folder / "context"
        include = f"--include={','.join(image.packages)}"
        _run(["debootstrap", "--variant=minbase", include, SUITE, str(root)])
        context.mkdir()
        left_out = [f"--exclude=./{path}/*" for path in ("dev", "proc", "sys", *LEFT_OUT)]
        packed = str(context / "root.tar")
        _run(["tar", "-C", str(root), "--numeric-owner", *left_out, "-cf", packed, "."])
        shutil.copy(_RECIPE, context)
        # Storage of its own: the machine's images stay as they are.
        storage = ["--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        buildah = ["buildah", *storage, "--storage-driver", "vfs"]
        _run([*buildah, "build", "--isolation", "chroot", "--tag", image.name, str(context)])
        _run([*buildah, "push", image.name, f"oci-archive:{output}:{image.name}"])
    finally:
        shutil.rmtree(folder)
