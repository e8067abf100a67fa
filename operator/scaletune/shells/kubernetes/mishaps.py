"""Mishaps: Events that say how attempts ended that were not agreed on. For people alone."""

import logging
from collections.abc import Iterable, Mapping

from aiohttp import ClientError

from scaletune.api.conditions import HEALTHY, Condition, condition
from scaletune.api.trial import Trial
from scaletune.core.summarise import timestamp
from scaletune.shells.kubernetes.client import EVENT, TRIAL, ApiError, Client, ConflictError, Json

log = logging.getLogger(__name__)


def news(before: Mapping[int, Trial], stored: Iterable[Trial]) -> list[tuple[Trial, Condition]]:
    """Of the Trials just stored, those whose condition Healthy says something new and bad."""
    found = []
    for trial in stored:
        new = condition(trial.status.conditions, HEALTHY)
        old = condition(before[trial.index].status.conditions, HEALTHY)
        if new is not None and new.status == "False" and (old is None or old != new):
            found.append((trial, new))
    return found


async def tell(client: Client, mishaps: list[tuple[Trial, Condition]], now: float) -> None:
    """Say it, as far as anybody listens."""
    for trial, bad in mishaps:
        names = {"study": trial.spec.study, "trial": trial.metadata.name}
        log.info("%s: %s", bad.reason, bad.message, extra=names)
        try:
            await client.create(EVENT, event(trial, bad, now))
        except ConflictError:
            pass  # said before
        except (ApiError, ClientError, TimeoutError) as error:
            log.warning("an Event was not accepted: %s", error)


def event(trial: Trial, bad: Condition, now: float) -> Json:
    """The Event of a mishap; its name follows from the attempt and the cause."""
    metadata, number = trial.metadata, trial.status.attempts[-1].number
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.name,
        "metadata": {
            "name": f"{metadata.name}.{metadata.uid[:8]}.a{number}.{bad.reason.lower()}",
            "namespace": metadata.namespace,
        },
        "involvedObject": {
            "apiVersion": TRIAL.api_version,
            "kind": TRIAL.name,
            "name": metadata.name,
            "namespace": metadata.namespace,
            "uid": metadata.uid,
        },
        "type": "Warning",
        "reason": bad.reason,
        "message": bad.message[:1024],
        "source": {"component": "scaletune"},
        "firstTimestamp": timestamp(now),
        "lastTimestamp": timestamp(now),
        "count": 1,
    }
