"""The cluster's certificates: one authority, one certificate per member, valid for a few days.

Kubernetes takes a client's name from the certificate's common name and its groups from the
organisation; a server is believed for the names and addresses in its alternative names. Elliptic
curve keys, because they are made in a millisecond.
"""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VALID = datetime.timedelta(days=7)


@dataclass(frozen=True)
class Identity:
    """What a certificate says: who, in which group, reachable under which names."""

    name: str
    group: str | None = None
    reachable_as: tuple[str, ...] = ()


def _subject(identity: Identity) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, identity.name)]
    if identity.group:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, identity.group))
    return x509.Name(attributes)


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _write_key(key: ec.EllipticCurvePrivateKey, path: Path) -> None:
    encoded = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    path.touch(mode=0o600)
    path.write_bytes(encoded)


class Authority:
    """Signs every certificate of one cluster and lays them into one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _subject(Identity("scaletune-test-authority"))
        self.certificate = folder / "ca.crt"
        builder = self._builder(self._name, self._key).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self._write(builder, self.certificate)

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            # An hour back: clocks of one machine agree, but tests may travel in time.
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + VALID)
        )

    def _write(self, builder: x509.CertificateBuilder, path: Path) -> None:
        signed = builder.sign(self._key, hashes.SHA256())
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))

    def issue(self, file: str, identity: Identity) -> tuple[Path, Path]:
        """Make `file`.crt and `file`.key for an identity."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate, private = self.folder / f"{file}.crt", self.folder / f"{file}.key"
        builder = self._builder(_subject(identity), key)
        if identity.reachable_as:
            names = [_alternative(name) for name in identity.reachable_as]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        self._write(builder, certificate)
        _write_key(key, private)
        return certificate, private

    def signing_key(self, file: str) -> Path:
        """A bare key pair: the API server signs the tokens of service accounts with it."""
        private = self.folder / f"{file}.key"
        _write_key(ec.generate_private_key(ec.SECP256R1()), private)
        return private


def server_names(addresses: Sequence[str]) -> tuple[str, ...]:
    """The names under which an API server is addressed from inside and outside a cluster."""
    inside = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")
    return (*inside, "127.0.0.1", *addresses)
