"""The operator's settings, by environment variables; each has a default that works."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from scaletune.shells.kubernetes.hearing.prometheus import Prometheus

LEVELS: Final = ("info", "debug", "warning", "error")


@dataclass(frozen=True)
class Settings:
    """What the environment says."""

    namespaces: tuple[str, ...] = ()
    """SCALETUNE_NAMESPACE: serve only these namespaces, with commas; all of them when empty."""
    scrape_seconds: float = 1.0
    """SCALETUNE_SCRAPE_SECONDS: how often the endpoints of running trials are read."""
    resync_seconds: float = 60.0
    """SCALETUNE_RESYNC_SECONDS: how often a study is looked at when nothing seems to happen."""
    concurrency: int = 8
    """SCALETUNE_CONCURRENCY: how many studies are reconciled at once."""
    port: int = 8080
    """SCALETUNE_OPERATOR_PORT: serves /metrics, /livez and /readyz; 0 is any free port."""
    prometheus: Prometheus | None = None
    """SCALETUNE_PROMETHEUS_URL, _TOKEN_FILE and _TIMEOUT_SECONDS: through whom trials are heard;
    without it all of them are read directly."""
    prometheus_interval: float = 30.0
    """SCALETUNE_PROMETHEUS_INTERVAL_SECONDS: how often Prometheus should scrape a trial."""
    election: bool = True
    """SCALETUNE_ELECTION: 0 acts without a Lease; only where there is never a second operator."""
    lease_namespace: str = ""
    """SCALETUNE_LEASE_NAMESPACE: of the Lease; the pod's own when empty."""
    lease_name: str = "scaletune"
    """SCALETUNE_LEASE_NAME: operators that serve other namespaces need another name."""
    log_format: str = "json"
    """SCALETUNE_LOG_FORMAT: json or text."""
    log_level: str = "info"
    """SCALETUNE_LOG_LEVEL: debug, info, warning or error."""

    @classmethod
    def of(cls, variables: Mapping[str, str] = os.environ) -> Self:
        """Read the environment. Raises ValueError naming the variable."""
        return cls(
            namespaces=_names(variables.get("SCALETUNE_NAMESPACE", "")),
            scrape_seconds=_positive(variables, "SCALETUNE_SCRAPE_SECONDS", cls.scrape_seconds),
            resync_seconds=_positive(variables, "SCALETUNE_RESYNC_SECONDS", cls.resync_seconds),
            concurrency=int(_positive(variables, "SCALETUNE_CONCURRENCY", cls.concurrency)),
            port=int(variables.get("SCALETUNE_OPERATOR_PORT") or cls.port),
            prometheus=_prometheus(variables),
            prometheus_interval=_positive(
                variables, "SCALETUNE_PROMETHEUS_INTERVAL_SECONDS", cls.prometheus_interval
            ),
            election=variables.get("SCALETUNE_ELECTION", "1") != "0",
            lease_namespace=variables.get("SCALETUNE_LEASE_NAMESPACE", cls.lease_namespace),
            lease_name=variables.get("SCALETUNE_LEASE_NAME") or cls.lease_name,
            log_format=_one_of(variables, "SCALETUNE_LOG_FORMAT", ("json", "text")),
            log_level=_one_of(variables, "SCALETUNE_LOG_LEVEL", LEVELS),
        )


def _prometheus(variables: Mapping[str, str]) -> Prometheus | None:
    url = variables.get("SCALETUNE_PROMETHEUS_URL")
    if not url:
        return None
    if not re.match(r"https?://[^/]", url):
        raise ValueError(
            "SCALETUNE_PROMETHEUS_URL must be an address such as http://prometheus.monitoring:9090,"
            f" but is {url!r}"
        )
    token = variables.get("SCALETUNE_PROMETHEUS_TOKEN_FILE")
    if token and "@" in url:
        raise ValueError("give a user in SCALETUNE_PROMETHEUS_URL or a token, not both")
    seconds = _positive(variables, "SCALETUNE_PROMETHEUS_TIMEOUT_SECONDS", Prometheus.seconds)
    return Prometheus(url, Path(token) if token else None, seconds)


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in (each.strip() for each in text.split(",")) if name)


def _one_of(variables: Mapping[str, str], name: str, words: Sequence[str]) -> str:
    """The first word is the default."""
    word = variables.get(name) or words[0]
    if word not in words:
        raise ValueError(f"{name} must be one of {', '.join(words)}, but is {word!r}")
    return word


def _positive(variables: Mapping[str, str], name: str, default: float) -> float:
    text = variables.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0:
        raise ValueError(f"{name} must be a number above 0, but is {text!r}")
    return value
