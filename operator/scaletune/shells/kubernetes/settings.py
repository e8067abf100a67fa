"""The operator's settings, by environment variables; each has a default that works."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Settings:
    """What the environment says."""

    namespace: str = ""
    """SCALETUNE_NAMESPACE: serve only this namespace; all of them when empty."""
    scrape_seconds: float = 1.0
    """SCALETUNE_SCRAPE_SECONDS: how often the endpoints of running trials are read."""
    resync_seconds: float = 60.0
    """SCALETUNE_RESYNC_SECONDS: how often a study is looked at when nothing seems to happen."""
    concurrency: int = 8
    """SCALETUNE_CONCURRENCY: how many studies are reconciled at once."""
    port: int = 8080
    """SCALETUNE_OPERATOR_PORT: serves /metrics, /livez and /readyz; 0 is any free port."""

    @classmethod
    def of(cls, variables: Mapping[str, str] = os.environ) -> Self:
        """Read the environment. Raises ValueError naming the variable."""
        return cls(
            namespace=variables.get("SCALETUNE_NAMESPACE", cls.namespace),
            scrape_seconds=_positive(variables, "SCALETUNE_SCRAPE_SECONDS", cls.scrape_seconds),
            resync_seconds=_positive(variables, "SCALETUNE_RESYNC_SECONDS", cls.resync_seconds),
            concurrency=int(_positive(variables, "SCALETUNE_CONCURRENCY", cls.concurrency)),
            port=int(variables.get("SCALETUNE_OPERATOR_PORT") or cls.port),
        )


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
