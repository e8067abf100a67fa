"""Operating: the operator's options are its environment variables, under friendlier names."""

import os
from collections.abc import Mapping

from scaletune.cli.refusal import Refusal


def operate_cluster(options: Mapping[str, str | None]) -> int:
    """Run the operator until it is told to end; options go before variables. The exit code."""
    try:
        from scaletune.shells.kubernetes.operate import NoClusterError, main
        from scaletune.shells.kubernetes.settings import Settings
    except ModuleNotFoundError as error:
        raise Refusal(
            f"the operator needs {error.name}: pip install 'scaletune[kubernetes]'"
        ) from None
    given = {name: value for name, value in options.items() if value is not None}
    try:
        return main(Settings.of({**os.environ, **given}))
    except (NoClusterError, ValueError) as error:
        raise Refusal(str(error)) from None
