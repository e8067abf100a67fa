"""Generates the chart's dashboards.

python -m helm.dashboards FOLDER

One file for each, named after what it shows. What Grafana itself would add on export (ids,
versions, the time of the day) is not in them, so that the same sources give the same bytes.
"""

import json
import sys
from pathlib import Path

from helm.dashboards.study import study


def files() -> dict[str, str]:
    """The content of each file, by its name."""
    return {"study.json": json.dumps(study(), indent=2) + "\n"}


def main() -> None:
    """Write the files into the folder named on the command line."""
    folder = Path(sys.argv[1])
    for name, text in files().items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main()
