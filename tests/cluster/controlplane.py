"""The control plane: etcd, API server, controller manager, scheduler, and the cluster's DNS.

All of it lives in one namespace without any node in it, as a managed control plane would.
"""

from pathlib import Path

from tests.cluster import audit, certificates, network
from tests.cluster.certificates import Authority, Identity
from tests.cluster.connection import Connection, write_kubeconfig
from tests.cluster.daemons import Daemon, Place, wait
from tests.cluster.site import Site

PORT = 6443
CLIENTS = {
    "admin": Identity("admin", "system:masters"),
    "controllers": Identity("system:kube-controller-manager"),
    "scheduler": Identity("system:kube-scheduler"),
    "proxy": Identity("system:kube-proxy"),
    "dns": Identity("scaletune-test-dns", "system:masters"),
}


class ControlPlane:
    """A control plane of one site; `daemons` are its programs, `admin` is the way in."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.authority = Authority(site.folder / "pki")
        self.server = f"https://{site.addresses.control_plane}:{PORT}"
        self.daemons: list[Daemon] = []
        self._api_flags: dict[str, object] = {}
        self.place = Place(
            network.entering(network.namespace_name(site.number, "control")),
            site.group("control"),
            site.logs,
        )
        for name, identity in CLIENTS.items():
            self.kubeconfig(name, identity)
        self.admin = Connection(
            self._config("admin"), site.program("kubectl"), site.folder / "kubectl"
        )

    def _config(self, name: str) -> Path:
        return self.site.folder / "pki" / f"{name}.kubeconfig"

    def kubeconfig(self, name: str, identity: Identity) -> Path:
        """A kubeconfig for somebody new."""
        client = self.authority.issue(name, identity)
        return write_kubeconfig(self._config(name), self.server, self.authority.certificate, client)

    def start(self) -> None:
        """Start everything and wait until the API server is ready."""
        addresses = self.site.addresses
        network.make_switch(addresses)
        network.join(addresses, "control", addresses.control_plane)
        self._start("etcd", self._etcd())
        self._api_flags = self._api_server()  # with the keys that all tokens are signed with
        self._start("kube-apiserver", self._api_flags)
        wait("the API server", self.admin.is_ready, self.daemons, seconds_max=90)
        self._start("kube-controller-manager", self._controller_manager())
        self._start("kube-scheduler", self._scheduler())

    def end_api_server(self) -> None:
        """Kill it, as if its machine were lost; what is stored stays."""
        for daemon in [each for each in self.daemons if each.name == "kube-apiserver"]:
            daemon.process.kill()
            daemon.process.wait()
            self.daemons.remove(daemon)

    def start_api_server(self, **flags: object) -> None:
        """Start another one on what is stored, and wait until it is ready.

        Flags of its own are named with underscores.
        """
        more = {name.replace("_", "-"): value for name, value in flags.items()}
        self._start("kube-apiserver", {**self._api_flags, **more})
        wait("the API server", self.admin.is_ready, self.daemons[-1:], seconds_max=90)

    def _start(self, name: str, flags: dict[str, object]) -> None:
        words = [f"--{flag}={value}" for flag, value in flags.items()]
        self.daemons.append(self.place.start(name, [self.site.program(name), *words]))

    def _etcd(self) -> dict[str, object]:
        clients, peers = "http://127.0.0.1:2379", "http://127.0.0.1:2380"
        return {
            "name": "test",
            "data-dir": self.site.folder / "etcd",
            "listen-client-urls": clients,
            "advertise-client-urls": clients,
            "listen-peer-urls": peers,
            "initial-advertise-peer-urls": peers,
            "initial-cluster": f"test={peers}",
            # Nothing here has to survive a power cut.
            "unsafe-no-fsync": "true",
            "log-level": "warn",
        }

    def _api_server(self) -> dict[str, object]:
        addresses, pki = self.site.addresses, self.authority.folder
        names = certificates.server_names([addresses.api_service, addresses.control_plane])
        certificate, key = self.authority.issue(
            "server", Identity("kube-apiserver", reachable_as=names)
        )
        tokens = self.authority.signing_key("tokens")
        return {
            "etcd-servers": "http://127.0.0.1:2379",
            "advertise-address": addresses.control_plane,
            "secure-port": PORT,
            "cert-dir": pki,
            "tls-cert-file": certificate,
            "tls-private-key-file": key,
            "client-ca-file": self.authority.certificate,
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": tokens,
            "service-account-signing-key-file": tokens,
            "service-cluster-ip-range": addresses.services,
            "authorization-mode": "Node,RBAC",
            # The last one is OpenShift's habit: who makes owner references needs rights for it.
            "enable-admission-plugins": ",".join(
                ("NodeRestriction", "PodSecurity", "OwnerReferencesPermissionEnforcement")
            ),
            "kubelet-client-certificate": pki / "admin.crt",
            "kubelet-client-key": pki / "admin.key",
            # Node names mean nothing to the resolver here; without this, no `kubectl logs`.
            "kubelet-preferred-address-types": "InternalIP",
            "allow-privileged": "true",
            **audit.flags(self.site.folder),
        }

    def _controller_manager(self) -> dict[str, object]:
        config, pki = self._config("controllers"), self.authority.folder
        return {
            "kubeconfig": config,
            "authentication-kubeconfig": config,
            "authorization-kubeconfig": config,
            "service-account-private-key-file": pki / "tokens.key",
            "root-ca-file": self.authority.certificate,
            "use-service-account-credentials": "true",
            "controllers": "*,-bootstrap-signer-controller,-token-cleaner-controller",
            "leader-elect": "false",
            "cert-dir": pki / "controller-manager",
            # The default of 20 requests a second would be what a test of many trials measures.
            "kube-api-qps": 500,
            "kube-api-burst": 1000,
            # A claim seen before its volume would be bound at the next of these, else after 15 s.
            "pvclaimbinder-sync-period": "1s",
        }

    def _scheduler(self) -> dict[str, object]:
        config = self._config("scheduler")
        return {
            "kubeconfig": config,
            "authentication-kubeconfig": config,
            "authorization-kubeconfig": config,
            "leader-elect": "false",
            "cert-dir": self.authority.folder / "scheduler",
            "kube-api-qps": 500,
            "kube-api-burst": 1000,
        }

    def start_dns(self, program: Path) -> None:
        """Serve the names of Services. Everything else does not exist, and is said so at once:
        waiting for a server out of reach would slow the start of every training down."""
        corefile = self.site.folder / "Corefile"
        corefile.write_text(
            f"""
            .:53 {{
              errors
              ready
              kubernetes cluster.local in-addr.arpa ip6.arpa {{
                kubeconfig {self._config("dns")}
                ttl 1
              }}
              template ANY ANY . {{
                rcode NXDOMAIN
              }}
            }}
            """
        )
        self.daemons.append(self.place.start("coredns", [program, "-conf", corefile]))
        ports = [{"name": p.lower(), "port": 53, "protocol": p} for p in ("UDP", "TCP")]
        self.admin.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": "kube-dns", "namespace": "kube-system"},
                "spec": {"clusterIP": self.site.addresses.dns_service, "ports": ports},
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": "kube-dns",
                    "namespace": "kube-system",
                    "labels": {"kubernetes.io/service-name": "kube-dns"},
                },
                "addressType": "IPv4",
                "endpoints": [{"addresses": [self.site.addresses.control_plane]}],
                "ports": ports,
            },
        )
