"""Where one cluster lives: its folder, its addresses, its control group, its programs by name."""

from dataclasses import dataclass
from pathlib import Path

from tests.cluster import cgroups
from tests.cluster.network import Addresses
from tests.cluster.slots import folder_of

PARTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)


@dataclass(frozen=True)
class Site:
    """Everything about a cluster that follows from its slot."""

    number: int

    @property
    def folder(self) -> Path:
        return folder_of(self.number)

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def addresses(self) -> Addresses:
        return Addresses(self.number)

    def group(self, member: str) -> str:
        """The control group for the daemons of one member."""
        return f"{cgroups.group_name(self.number)}/{member}"

    def program(self, part: str) -> Path:
        """The program of Kubernetes that is called by a link of its name."""
        return self.folder / "bin" / part

    def prepare(self, kubecluster: Path) -> None:
        """Lay out the folder."""
        self.logs.mkdir()
        (self.folder / "bin").mkdir()
        for part in PARTS:
            self.program(part).symlink_to(kubecluster.resolve())
        cgroups.make(self.group("control"))
