"""Addresses, network namespaces and links of one test cluster.

Every cluster has a slot number, and the slot decides everything that could collide: one /16 of its
own, names of namespaces and links that carry the number. Inside its own namespaces a cluster may
use any port, so ports need no thought at all. The control plane has a namespace of its own, apart
from the nodes, so that a node can be cut off or lost while the API server goes on.

The machine itself is attached to the bridge and has routes to pods and services: a test process
reaches the API server, a pod's metrics port or a Service as an operator in the cluster would.
Nothing routes outwards; pods cannot reach the internet.
"""

import ipaddress
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.faults import ClusterError

NAMESPACES = Path("/run/netns")


@dataclass(frozen=True)
class Addresses:
    """Who lives where in the /16 of a slot."""

    slot: int

    def _at(self, tail: str) -> str:
        return f"10.{200 + self.slot}.{tail}"

    @property
    def whole(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(self._at("0.0/16"))

    @property
    def machine(self) -> str:
        return self._at("0.254")

    @property
    def control_plane(self) -> str:
        return self._at("0.1")

    def node(self, number: int) -> str:
        return self._at(f"0.{10 + number}")

    def pods(self, number: int) -> str:
        return self._at(f"{16 + number}.0/24")

    @property
    def all_pods(self) -> str:
        return self._at("16.0/20")

    @property
    def services(self) -> str:
        return self._at("128.0/17")

    @property
    def api_service(self) -> str:
        return self._at("128.1")

    @property
    def dns_service(self) -> str:
        return self._at("128.10")


def namespace_name(slot: int, member: str) -> str:
    return f"scaletune-{slot}-{member}"


def entering(namespace: str) -> tuple[str, ...]:
    """The words before a command that make it run in a namespace.

    Not `ip netns exec`: that mounts /sys anew, and the control groups are gone from it.
    """
    return ("nsenter", f"--net={NAMESPACES / namespace}", "--")


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise ClusterError(f"`{' '.join(command)}` failed: {done.stderr.strip() or done.stdout}")
    return done.stdout


def is_free(addresses: Addresses) -> bool:
    """Whether no route of this machine overlaps the slot's addresses (another network may)."""
    for route in json.loads(run("ip", "-4", "-json", "route", "show", "table", "all")):
        if route["dst"] == "default":
            continue
        if ipaddress.IPv4Network(route["dst"], strict=False).overlaps(addresses.whole):
            return False
    return True


def _bridge_name(slot: int) -> str:
    return f"sct{slot}-bridge"


def make_bridge(addresses: Addresses) -> None:
    """The switch that everything of the cluster is plugged into, with the machine's own address."""
    bridge = _bridge_name(addresses.slot)
    run("ip", "link", "add", bridge, "type", "bridge")
    run("ip", "address", "add", f"{addresses.machine}/24", "dev", bridge)
    run("ip", "link", "set", bridge, "up")


def join(addresses: Addresses, member: str, address: str) -> str:
    """Make a namespace for one member (`control`, `n1`, ...), plug it in, and name it."""
    slot = addresses.slot
    namespace, outer = namespace_name(slot, member), f"sct{slot}-{member}"
    run("ip", "netns", "add", namespace)
    run("ip", "link", "add", outer, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    run("ip", "link", "set", outer, "master", _bridge_name(slot), "up")
    run("ip", "-n", namespace, "link", "set", "lo", "up")
    run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
    run("ip", "-n", namespace, "link", "set", "eth0", "up")
    run("ip", "-n", namespace, "route", "add", "default", "via", addresses.machine)
    run(*entering(namespace), "sysctl", "-qw", "net.ipv4.ip_forward=1")
    return namespace


def add_route(namespace: str | None, destination: str, gateway: str) -> None:
    """A route in a namespace, or on the machine itself for None; replaces an earlier one."""
    where = ["-n", namespace] if namespace else []
    run("ip", *where, "route", "replace", destination, "via", gateway)


def remove(slot: int) -> None:
    """Take away every namespace and link that carries the slot's number."""
    if NAMESPACES.is_dir():
        for path in sorted(NAMESPACES.glob(namespace_name(slot, "*"))):
            run("ip", "netns", "delete", path.name)
    for link in json.loads(run("ip", "-json", "link", "show")):
        if link["ifname"] == _bridge_name(slot):
            run("ip", "link", "delete", link["ifname"])
