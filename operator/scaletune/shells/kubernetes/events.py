"""Events: decisions as `kubectl describe trial` and `kubectl get events` show them.

Each has a name that follows from what it tells, so saying it twice is a harmless conflict. They are
for people alone: losing one changes nothing, and nothing reads them.
"""

import logging
from collections.abc import Iterable

from aiohttp import ClientError

from scaletune.api.action import Decide
from scaletune.api.study import Study
from scaletune.api.trial import Trial
from scaletune.core import reasons
from scaletune.core.summarise import timestamp
from scaletune.shells.kubernetes.client import EVENT, TRIAL, ApiError, Client, ConflictError, Json

log = logging.getLogger(__name__)


async def tell(
    client: Client, study: Study, trials: dict[int, Trial], decisions: Iterable[Decide], now: float
) -> None:
    """Say what was decided, as far as anybody listens."""
    for made in decisions:
        trial = trials.get(made.trial)
        if trial is None:
            continue  # deleted meanwhile
        text = reasons.explain(study, made)
        log.info(
            "%s: %s",
            made.decision,
            text,
            extra={"study": study.metadata.name, "trial": trial.metadata.name},
        )
        try:
            await client.create(EVENT, decision_event(trial, made, text, now))
        except ConflictError:
            pass
        except (ApiError, ClientError, TimeoutError) as error:
            log.warning("an Event was not accepted: %s", error)


def decision_event(trial: Trial, made: Decide, text: str, now: float) -> Json:
    """The Event of a decision on a Trial."""
    metadata = trial.metadata
    name = f"{metadata.name}.{metadata.uid[:8]}.{made.milestone}.{made.decision.lower()}"
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.name,
        "metadata": {"name": name, "namespace": metadata.namespace},
        "involvedObject": {
            "apiVersion": TRIAL.api_version,
            "kind": TRIAL.name,
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
        },
        "type": "Normal",
        "reason": made.decision,
        "message": text[:1024],
        "source": {"component": "scaletune"},
        "firstTimestamp": timestamp(now),
        "lastTimestamp": timestamp(now),
        "count": 1,
    }
