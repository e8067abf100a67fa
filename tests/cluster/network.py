"""Addresses, network namespaces and links of one test cluster.

Every cluster has a slot number, and the slot decides everything that could collide: one /16 of its
own, names of namespaces and links that carry the number. Inside its own namespaces a cluster may
use any port, so ports need no thought at all. The control plane has a namespace of its own, apart
from the nodes, so that a node can be cut off or lost while the API server goes on.

The machine itself is plugged into the cluster's switch and has routes to pods and services: a test
process reaches the API server, a pod's metrics port or a Service as an operator in the cluster
would. Nothing routes outwards; pods cannot reach the internet.
"""

import ipaddress
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

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


def _machine_link(slot: int) -> str:
    return f"scaletune-{slot}"


def make_switch(addresses: Addresses) -> None:
    """A bridge that everything of the cluster is plugged into, and the machine with one cable.

    It has a namespace of its own, because the machine's firewall also looks at what a bridge of the
    machine passes on, and drops it where Docker is installed.
    """
    slot = addresses.slot
    switch, link = namespace_name(slot, "switch"), _machine_link(slot)
    run("ip", "netns", "add", switch)
    run("ip", "-n", switch, "link", "add", "bridge", "type", "bridge")
    run("ip", "-n", switch, "link", "set", "bridge", "up")
    run("ip", "link", "add", link, "type", "veth", "peer", "name", "machine", "netns", switch)
    run("ip", "-n", switch, "link", "set", "machine", "master", "bridge", "up")
    run("ip", "address", "add", f"{addresses.machine}/24", "dev", link)
    run("ip", "link", "set", link, "up")


def join(addresses: Addresses, member: str, address: str) -> None:
    """Make a namespace for one member (`control`, `n1`, ...) and plug it in as its `eth0`.

    The other end of the cable has the member's name in the switch's namespace.
    """
    slot = addresses.slot
    namespace, switch = namespace_name(slot, member), namespace_name(slot, "switch")
    run("ip", "netns", "add", namespace)
    cable = ("peer", "name", "eth0", "netns", namespace)
    run("ip", "-n", switch, "link", "add", member, "type", "veth", *cable)
    run("ip", "-n", switch, "link", "set", member, "master", "bridge", "up")
    run("ip", "-n", namespace, "link", "set", "lo", "up")
    run("ip", "-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
    run("ip", "-n", namespace, "link", "set", "eth0", "up")
    run("ip", "-n", namespace, "route", "add", "default", "via", addresses.machine)
    run(*entering(namespace), "sysctl", "-qw", "net.ipv4.ip_forward=1")


def switch(addresses: Addresses, member: str, state: Literal["up", "down"]) -> None:
    """Plug a member's cable in, or pull it, at the bridge's end."""
    run("ip", "-n", namespace_name(addresses.slot, "switch"), "link", "set", member, state)


def add_route(namespace: str | None, destination: str, gateway: str) -> None:
    """A route in a namespace, or on the machine itself for None; replaces an earlier one."""
    where = ["-n", namespace] if namespace else []
    run("ip", *where, "route", "replace", destination, "via", gateway)


def remove(slot: int) -> None:
    """Take away every namespace and link that carries the slot's number."""
    # The link first: with its namespace it would go too, but some time later.
    if any(link["ifname"] == _machine_link(slot) for link in _links()):
        run("ip", "link", "delete", _machine_link(slot))
    if NAMESPACES.is_dir():
        for path in sorted(NAMESPACES.glob(namespace_name(slot, "*"))):
            run("ip", "netns", "delete", path.name)


def _links() -> list[dict[str, Any]]:
    return list(json.loads(run("ip", "-json", "link", "show")))
