"""The image that pods of the test cluster run: made once, kept outside the repository.

No registry is needed: debootstrap makes the root file system from the Debian mirror, buildah makes
an OCI archive of it after the Dockerfile beside this, and every node imports the archive (node.py).
"""

import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.cluster.daemons import Progress
from tests.cluster.faults import ClusterError
from tests.cluster.programs import cache, new_file

SUITE = "bookworm"
# The Python of that suite; packages mounted into a pod must have been installed for the same.
PYTHON = (3, 11)
PACKAGES = ("python3-minimal", "libpython3-stdlib")
# Not needed to run Python, and half of the size.
LEFT_OUT = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale")
NAME = "localhost/scaletune-test:1"
_RECIPE = Path(__file__).parent / "image" / "Dockerfile"


def archive(progress: Progress) -> Path:
    """The image as an OCI archive; made if it is not in the cache."""
    parts = repr((SUITE, PACKAGES, LEFT_OUT, NAME, _RECIPE.read_text()))
    made = cache() / f"image-{hashlib.sha256(parts.encode()).hexdigest()[:16]}.tar"
    if not made.is_file():
        progress(f"making the image for pods, once: half a minute, kept in {made.parent}")
        with new_file(made) as output:
            _make(output)
    return made


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()[-12:]
        raise ClusterError("\n".join([f"`{' '.join(command)}` failed:", *said]))


def _make(output: Path) -> None:
    folder = Path(tempfile.mkdtemp(dir=output.parent))
    try:
        root, context = folder / "root", folder / "context"
        include = f"--include={','.join(PACKAGES)}"
        _run(["debootstrap", "--variant=minbase", include, SUITE, str(root)])
        context.mkdir()
        left_out = [f"--exclude=./{path}/*" for path in ("dev", "proc", "sys", *LEFT_OUT)]
        packed = str(context / "root.tar")
        _run(["tar", "-C", str(root), "--numeric-owner", *left_out, "-cf", packed, "."])
        shutil.copy(_RECIPE, context)
        # Storage of its own: the machine's images stay as they are.
        storage = ["--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        buildah = ["buildah", *storage, "--storage-driver", "vfs"]
        _run([*buildah, "build", "--isolation", "chroot", "--tag", NAME, str(context)])
        _run([*buildah, "push", NAME, f"oci-archive:{output}:{NAME}"])
    finally:
        shutil.rmtree(folder)
