"""The user's command, with the trial's parameters put in.

`$(params.NAME)` becomes the plain text of the value, anywhere in an argument; `$$(params.NAME)`
stays as `$(params.NAME)`, as in Kubernetes' own expansion. One implementation serves all shells.
No shell is involved: a value with blanks or quotes stays one argument.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from scaletune_trainer.failure import UserError
from scaletune_trainer.wire import Value

_REFERENCE = re.compile(r"(\$?)\$\(params\.([^()]*)\)")


def plain_text(value: Value) -> str:
    """What stands in the command line: 0.003, 128, adamw, true."""
    return value if isinstance(value, str) else json.dumps(value)


def with_parameters(command: Sequence[str], parameters: Mapping[str, Value]) -> list[str]:
    def replaced(match: re.Match[str]) -> str:
        escaped, name = match.groups()
        if escaped:
            return match[0][1:]
        if name not in parameters:
            known = ", ".join(sorted(parameters)) or "none"
            raise UserError(
                f"the command refers to {match[0]}, but the study has no parameter {name!r} "
                f"(it has: {known})"
            )
        return plain_text(parameters[name])

    return [_REFERENCE.sub(replaced, argument) for argument in command]
