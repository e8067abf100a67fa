"""Calls: what a request to the API server is called, in RBAC's words: `update trials/status`."""

from collections.abc import Mapping
from typing import Final

_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


def called(method: str, path: str, query: Mapping[str, str]) -> tuple[str, str]:
    """The verb, and the resource with its subresource."""
    place = path.strip("/").split("/")
    rest = place[3:] if place[0] == "apis" else place[2:]  # without group and version
    if rest[:1] == ["namespaces"] and len(rest) > 2:
        rest = rest[2:]
    resource, *named = rest or [""]
    if method == "GET" and not named:
        return "watch" if query.get("watch") == "true" else "list", resource
    return _VERBS.get(method, "get"), "/".join([resource, *named[1:]])
