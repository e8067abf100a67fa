"""`scaletune validate`: everything that is wrong with the documents of some files."""

import sys
from collections.abc import Sequence

from scaletune.api.validation import problems, problems_on_a_cluster
from scaletune.cli.refusal import Refusal
from scaletune.cli.study_file import read_documents


def validate_files(paths: Sequence[str]) -> None:
    """Check them all; raises Refusal with all that was found."""
    found = []
    for path in paths:
        for document in read_documents(path):
            name = (document.get("metadata") or {}).get("name", "without a name")
            title = f"{path}: {document.get('kind', 'document')} {name}"
            wrong = problems(document)
            if wrong:
                found.append("\n  ".join([title, *map(str, wrong)]))
            else:
                sys.stdout.write(f"{title} is valid\n")
                for hint in problems_on_a_cluster(document):
                    sys.stdout.write(f"  but not on a cluster: {hint}\n")
    if found:
        raise Refusal("\n".join(found))
