"""Whatever people may write into a Study's spec: mostly nearly right, now and then anything."""

from typing import Any

from hypothesis import strategies as st

from scaletune.api.schema import schema_of
from scaletune.api.structural import Schema
from scaletune.api.study import Study

_JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["learning_rate", "batch_size", "Log", "1h", "Running"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "float", "min", "spec"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def _values(draw: st.DrawFn, part: Schema) -> Any:
    """Mostly a value as the schema wants it, now and then something else altogether."""
    if draw(st.integers(0, 15)) == 0:
        return draw(_JUNK)
    if "enum" in part:
        return draw(st.sampled_from(part["enum"]))
    match part.get("type"):
        case None:  # training.max
            name = st.sampled_from(["learning_rate", "batch_size"])
            return draw(st.integers(0, 20) | st.fixed_dictionaries({"parameter": name}))
        case "integer":
            return draw(st.integers(0, 20))
        case "number":
            return draw(st.floats(0, 2))
        case "array":
            return draw(st.lists(_values(part["items"]), max_size=3))
        case "object" if "properties" in part:
            return draw(_fields(part))
        case "object":
            return draw(st.dictionaries(st.sampled_from(["a", "b", "spec"]), _JUNK, max_size=3))
        case _:
            return draw(st.sampled_from(["a", "b", "c", "1h"]))


@st.composite
def _fields(draw: st.DrawFn, part: Schema) -> Any:
    required = set(part.get("required", ()))
    names = [name for name in part["properties"] if name in required or draw(st.booleans())]
    return {name: draw(_values(part["properties"][name])) for name in names}


_SPEC = schema_of(Study)["properties"]["spec"]
SPECS = _values(_SPEC)
CHANGES = st.dictionaries(
    st.sampled_from(list(_SPEC["properties"])), st.none(), min_size=1, max_size=3
).flatmap(
    lambda names: st.fixed_dictionaries(
        {name: _values(_SPEC["properties"][name]) for name in names}
    )
)
