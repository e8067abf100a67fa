"""What a machine must have for the test cluster, and how to get what it lacks."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.cluster import programs
from tests.cluster.daemons import Progress
from tests.cluster.faults import ClusterError, Missing

# Debian package -> a file or program that shows it is there.
PACKAGES = {
    "buildah": "buildah",
    "conntrack": "conntrack",
    "containerd": "containerd",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "debootstrap": "debootstrap",
    "ethtool": "ethtool",
    "iproute2": "ip",
    "iptables": "iptables",
    "runc": "runc",
    "socat": "socat",
    "util-linux": "nsenter",
}


# Where some of them are, although `su` and ordinary users do not look there.
SYSTEM = "/usr/sbin:/sbin"


def _is_there(sign: str) -> bool:
    if sign.startswith("/"):
        return Path(sign).exists()
    return shutil.which(sign, path=f"{os.environ.get('PATH', os.defpath)}:{SYSTEM}") is not None


def lacking_packages() -> list[str]:
    return [package for package, sign in PACKAGES.items() if not _is_there(sign)]


def lacking() -> list[str]:
    """Everything that is missing, each with its remedy; empty when a cluster can start."""
    if sys.platform != "linux":
        return ["A node needs Linux; name another cluster in SCALETUNE_TEST_KUBECONFIG."]
    reasons = []
    if os.geteuid() != 0:
        reasons.append(
            "Network namespaces and containers need root: run the tests as root, or name another "
            "cluster in SCALETUNE_TEST_KUBECONFIG."
        )
    if packages := lacking_packages():
        reasons.append(
            f"Debian packages are missing: {' '.join(packages)}. "
            "Install them as root with `make cluster-tools`."
        )
    elif shutil.which("runc") is None:
        reasons.append(f"The system's programs are not found: add {SYSTEM} to PATH.")
    reasons += filter(None, map(programs.lacking, programs.ALL))
    return reasons


def demand() -> None:
    if reasons := lacking():
        raise Missing(reasons)


def install(progress: Progress) -> None:
    """Install the missing Debian packages, or say what to do where that cannot be done here."""
    packages = lacking_packages()
    if not packages:
        progress("every Debian package of the test cluster is installed")
        return
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise Missing([f"Become root on a Debian machine and run `{' '.join(command)}`."])
    progress(f"installing {' '.join(packages)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["apt-get", "update", "-q"], command):
        done = subprocess.run(words, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            raise ClusterError(f"`{' '.join(words)}` failed:\n{done.stderr.strip()}")
