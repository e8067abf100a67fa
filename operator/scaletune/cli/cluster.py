"""What is asked of a cluster from the command line, and what is said when it does not answer.

Everything is read with the rights of whoever asks; nothing is changed.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

from scaletune.cli.figures import Figures
from scaletune.cli.refusal import Refusal
from scaletune.cli.subject import Cluster, Subject

try:
    import aiohttp
    from kubernetes.aio.config import ConfigException

    from scaletune.shells.kubernetes.reading import NothingFoundError, Reader
    from scaletune.shells.kubernetes.server.client import ApiError, MissingError
except ModuleNotFoundError as error:
    raise Refusal(
        f"reading a cluster needs {error.name}: pip install 'scaletune[kubernetes]'"
    ) from None

T = TypeVar("T")

INSTALL = "helm install scaletune helm/scaletune --namespace scaletune --create-namespace"


def find_study(subject: Subject, cluster: Cluster) -> tuple[str, Figures]:
    """The namespace of a study, and what is stored of it. Raises Refusal."""

    async def read(reader: Reader) -> tuple[str, Figures]:
        name = await _study_name(reader, subject)
        return reader.namespace, Figures.of(*await reader.study(name))

    return ask(cluster, read)


def ask(cluster: Cluster, question: Callable[[Reader], Awaitable[T]]) -> T:
    """The answer to a question; Refusal when there is none, with what to do."""

    async def asked() -> T:
        reader = await Reader.connect(cluster.namespace, cluster.context)
        try:
            return await question(reader)
        finally:
            await reader.client.close()

    try:
        return asyncio.run(asked())
    except NothingFoundError as error:
        raise Refusal(str(error)) from None
    except ConfigException as error:
        # The library says "current-context is missing" of a kubeconfig that is not there at all.
        what = "there is no kubeconfig" if "current-context" in str(error) else str(error)
        raise Refusal(
            f"no cluster: {what}. Set KUBECONFIG or --context, or give the folder of a run"
        ) from None
    except ApiError as error:
        raise Refusal(_explained(error)) from None
    except (aiohttp.ClientError, TimeoutError) as error:
        words = str(error) or type(error).__name__
        raise Refusal(
            f"the API server does not answer: {words}. Does `kubectl get studies` work?"
        ) from None


async def _study_name(reader: Reader, subject: Subject) -> str:
    if subject.name is not None:
        is_trial = subject.kind == "trial"
        return re.sub(r"-\d{4,}$", "", subject.name) if is_trial else subject.name
    names = sorted(study.metadata.name for study in await reader.studies())
    if len(names) == 1:
        return names[0]
    if not names:
        raise NothingFoundError(f"no Study in namespace {reader.namespace}; give another with -n")
    raise NothingFoundError(f"say which: {', '.join(f'study/{name}' for name in names)}")


def _explained(error: ApiError) -> str:
    if error.status == 401:
        return f"the API server does not know you: {error.message}. Log in again"
    if error.status == 403:
        return (
            f"you may not read it: {error.message}. Ask for the verbs get and list on studies and"
            " trials of scaletune.dev, and on pods and pods/log for logs"
        )
    if isinstance(error, MissingError) and "scaletune.dev" in str(error):
        return f"this cluster knows no Studies yet. Install Scaletune in it: {INSTALL}"
    return f"the API server refuses: {error.message}"
