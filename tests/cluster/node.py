"""One real node: containerd with runc, kubelet, kube-proxy, in namespaces of its own.

A second node is a second call. Each has its own containerd, its own root for pods in the control
groups, and its own pod network, so that one can die without the other noticing.

A node also has its own view of the file system (machine.sh): what containers and volumes mount is
mounted there alone and goes away with the node's last process, and what the programs insist on
writing to fixed places (/run/containerd, /var/lib/kubelet, /var/lib/cni, /var/log/containers) never
reaches the machine.
"""

import json
from dataclasses import replace
from pathlib import Path

import yaml

from tests.cluster import cgroups, images, network
from tests.cluster.certificates import Identity
from tests.cluster.connection import Refused
from tests.cluster.controlplane import ControlPlane
from tests.cluster.daemons import Daemon, Place, wait
from tests.cluster.faults import ClusterError
from tests.cluster.network import namespace_name

CNI_PROGRAMS = Path("/usr/lib/cni")
_MACHINE = Path(__file__).parent / "machine.sh"


class Node:
    """The node of a number, from 1; known to the API server as n1, n2, ..."""

    def __init__(self, control_plane: ControlPlane, number: int) -> None:
        self.control_plane = control_plane
        self.site = control_plane.site
        self.number = number
        self.name = f"n{number}"
        self.folder = self.site.folder / self.name
        self.address = self.site.addresses.node(number)
        self.socket = self.folder / "run" / "containerd.sock"
        self.daemons: list[Daemon] = []
        self.group = self.site.group(self.name)
        self.logs = self.site.logs / self.name
        self.namespace = namespace_name(self.site.number, self.name)
        self.place = Place(network.entering(self.namespace), f"{self.group}/daemons", self.logs)

    def start(self, image: Path) -> None:
        """Start the node with an image loaded, and wait until the API server calls it ready."""
        for folder in (self.folder, self.logs, self.folder / "run", self.folder / "cni"):
            folder.mkdir()
        for part in ("daemons", "pods"):
            cgroups.make(f"{self.group}/{part}")
        self._connect()
        self._enter_file_system()
        containerd = self._start("containerd", ["containerd", "--config", self._containerd()])
        wait("containerd", self._has_runtime, [containerd], seconds_max=30)
        self.load(image)
        self._start("kubelet", self._kubelet())
        self._start("kube-proxy", [self.site.program("kube-proxy"), "--config", self._proxy()])
        wait(f"node {self.name}", self._is_ready, self.daemons, seconds_max=60)

    def load(self, archive: Path) -> None:
        """Import an image for pods on this node; nothing is ever pulled."""
        self._ctr("--namespace", "k8s.io", "images", "import", str(archive))

    def stop(self) -> None:
        """Let the node die at once, with every pod on it, as in a power cut."""
        cgroups.kill(self.group)

    def kill(self, name: str) -> None:
        """Kill one of the node's daemons; what it has started runs on."""
        [daemon] = [each for each in self.daemons if each.name == name]
        self.daemons.remove(daemon)
        daemon.process.kill()
        daemon.process.wait()

    def revive(self) -> None:
        """Start again what was killed, and wait until the API server calls the node ready."""
        running = {each.name for each in self.daemons}
        if "containerd" not in running:
            command: list[str | Path] = ["containerd", "--config", self._containerd()]
            containerd = self._start("containerd", command)
            wait("containerd", self._has_runtime, [containerd], seconds_max=30)
        if "kubelet" not in running:
            self._start("kubelet", self._kubelet())
        wait(f"node {self.name}", self._is_ready, self.daemons, seconds_max=60)

    def start_kubelet(self) -> None:
        """Start a kubelet that was killed, whether or not anybody can hear it."""
        self._start("kubelet", self._kubelet())

    def cut(self) -> None:
        """Pull the node's cable: everything on it runs on, and nothing gets in or out."""
        network.switch(self.site.addresses, self.name, "down")

    def mend(self) -> None:
        """Plug the cable in again."""
        network.switch(self.site.addresses, self.name, "up")

    def _start(self, name: str, command: list[str | Path]) -> Daemon:
        daemon = self.place.start(name, command)
        self.daemons.append(daemon)
        return daemon

    def _enter_file_system(self) -> None:
        """Make the node's view of the file system, and run every later program in it."""
        is_made = self.folder / "machine"
        words: list[str | Path] = ["unshare", "--mount", "--propagation", "private", "sh", _MACHINE]
        machine = self._start("machine", [*words, self.site.folder, is_made])
        wait("the node's file system", is_made.exists, [machine], seconds_max=10)
        mounts = f"--mount=/proc/{machine.process.pid}/ns/mnt"
        enter, *rest = network.entering(self.namespace)
        self.place = replace(self.place, entering=(enter, mounts, *rest))

    def _connect(self) -> None:
        addresses = self.site.addresses
        network.join(addresses, self.name, self.address)
        pods = addresses.pods(self.number)
        control = namespace_name(self.site.number, "control")
        for elsewhere in (None, control):
            network.add_route(elsewhere, pods, self.address)
            # Services are reached through the newest node; any would do.
            network.add_route(elsewhere, addresses.services, self.address)
        for other in range(1, self.number):
            network.add_route(self.namespace, addresses.pods(other), addresses.node(other))
            network.add_route(namespace_name(self.site.number, f"n{other}"), pods, self.address)

    def _has_runtime(self) -> bool:
        try:
            self._ctr("version")
        except ClusterError:
            return False
        return True

    def _ctr(self, *arguments: str) -> None:
        """Ask the node's containerd, whose socket exists in the node's file system alone."""
        network.run(*self.place.entering, "ctr", "--address", str(self.socket), *arguments)

    def _is_ready(self) -> bool:
        try:
            node = self.control_plane.admin.get("node", self.name)
        except Refused:
            return False
        conditions = node["status"].get("conditions", [])
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def _containerd(self) -> Path:
        self._pod_network()
        config = self.folder / "containerd.toml"
        config.write_text(
            f"""
            version = 2
            root = "{self.folder}/containerd"
            state = "{self.folder}/run/state"
            oom_score = 0
            [grpc]
            address = "{self.socket}"
            [plugins."io.containerd.internal.v1.opt"]
            path = "{self.folder}/opt"
            [plugins."io.containerd.grpc.v1.cri"]
            sandbox_image = "{images.NAME}"
            # Without CAP_SYS_RESOURCE nobody may lower a score below his own.
            restrict_oom_score_adj = true
            netns_mounts_under_state_dir = true
            stream_server_address = "127.0.0.1"
            [plugins."io.containerd.grpc.v1.cri".cni]
            bin_dir = "{CNI_PROGRAMS}"
            conf_dir = "{self.folder}/cni"
            [plugins."io.containerd.grpc.v1.cri".containerd]
            snapshotter = "overlayfs"
            default_runtime_name = "runc"
            [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
            runtime_type = "io.containerd.runc.v2"
            [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
            BinaryName = "runc"
            Root = "{self.folder}/run/runc"
            SystemdCgroup = false
            """
        )
        return config

    def _pod_network(self) -> None:
        pods = self.site.addresses.pods(self.number)
        bridge = {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": False,
            "hairpinMode": True,
            "ipam": {
                "type": "host-local",
                "dataDir": str(self.folder / "ipam"),
                "ranges": [[{"subnet": pods}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
        ports = {"type": "portmap", "capabilities": {"portMappings": True}}
        plugins = {"cniVersion": "0.4.0", "name": "pods", "plugins": [bridge, ports]}
        (self.folder / "cni" / "pods.conflist").write_text(json.dumps(plugins))

    def _kubelet(self) -> list[str | Path]:
        identity = Identity(f"system:node:{self.name}", "system:nodes")
        kubeconfig = self.control_plane.kubeconfig(f"kubelet-{self.name}", identity)
        resolver = self.folder / "resolv.conf"
        resolver.touch()
        config = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self.control_plane.authority.certificate)},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.group}/pods",
            "clusterDNS": [self.site.addresses.dns_service],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "evictionHard": dict.fromkeys(("nodefs.available", "imagefs.available"), "1%"),
            "failCgroupV1": False,
            "failSwapOn": False,
            "hairpinMode": "none",
            "imageGCHighThresholdPercent": 100,
            "maxOpenFiles": 20000,
            "nodeStatusUpdateFrequency": "2s",
            "oomScoreAdj": 0,
            "podLogsDir": str(self.folder / "pod-logs"),
            "readOnlyPort": 0,
            "resolvConf": str(resolver),
            "volumePluginDir": str(self.folder / "volume-plugins"),
        }
        path = self.folder / "kubelet.yaml"
        path.write_text(yaml.safe_dump(config))
        flags: list[str | Path] = [self.site.program("kubelet"), "--config", path]
        flags += ["--kubeconfig", kubeconfig, "--cert-dir", self.folder / "kubelet-pki"]
        flags += ["--root-dir", self.folder / "kubelet"]
        return [*flags, "--hostname-override", self.name, "--node-ip", self.address]

    def _proxy(self) -> Path:
        kubeconfig = self.site.folder / "pki" / "proxy.kubeconfig"
        config = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            "clusterCIDR": self.site.addresses.all_pods,
            # All of the machine, not of the namespace: leave them as they are.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
            "hostnameOverride": self.name,
        }
        path = self.folder / "proxy.yaml"
        path.write_text(yaml.safe_dump(config))
        return path
