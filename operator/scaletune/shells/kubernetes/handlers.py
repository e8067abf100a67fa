"""Handlers: kopf's wiring, and nothing else. Run as

    kopf run --module scaletune.shells.kubernetes.handlers --all-namespaces

kopf watches the Studies and lives and dies with the process. It keeps no state of ours: no change
handlers (each costs an annotation and a write per change), no timers or daemons, no finalizers.
"""

import logging
import random
from contextlib import AsyncExitStack
from typing import Any, Final

import kopf

from scaletune.api.model import GROUP, VERSION
from scaletune.shells.kubernetes.client import STUDY, Client, Json
from scaletune.shells.kubernetes.metrics import Metrics
from scaletune.shells.kubernetes.probes import Health, serving
from scaletune.shells.kubernetes.settings import Settings
from scaletune.shells.kubernetes.shell import Shell

log = logging.getLogger(__name__)

_SHELL: Final = "shell"
_OPEN: Final = "open"


@kopf.on.login()
def login(**arguments: Any) -> kopf.ConnectionInfo | None:
    """As the pod's service account, or by KUBECONFIG: the same as our own client."""
    return kopf.login_with_service_account(**arguments) or kopf.login_with_kubeconfig(**arguments)


@kopf.on.startup()
async def start(settings: kopf.OperatorSettings, memo: kopf.Memo, **_: Any) -> None:
    """Configure kopf, and start everything that is ours."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.queueing.idle_timeout = 0.2
    settings.watching.server_timeout = random.randint(270, 300)  # the server takes whole seconds
    settings.networking.enforce_retry_after = True
    metrics, wanted = Metrics(), Settings.of()
    shell = Shell(await Client.connect(metrics=metrics), wanted, metrics)
    memo[_SHELL], memo[_OPEN] = shell, AsyncExitStack()
    health = Health(lives=list, is_ready=list)
    await memo[_OPEN].enter_async_context(serving(metrics.registry, health, wanted.port))
    await shell.start()
    log.info("mirrored the cluster; serving studies")


@kopf.on.cleanup()
async def stop(memo: kopf.Memo, **_: Any) -> None:
    """End what start began."""
    shell: Shell | None = memo.get(_SHELL)
    if shell is not None:
        await shell.stop()
        await memo[_OPEN].aclose()


@kopf.on.event(GROUP, VERSION, STUDY.plural)
async def study_event(event: kopf.RawEvent, memo: Any, **_: Any) -> None:
    """A Study appeared, changed or went away: look at it."""
    shell: Shell = memo[_SHELL]
    raw: Json = dict(event["object"])
    shell.study_changed(event["type"], raw)
