"""What every API type has in common: frozen, camelCase in YAML, no unknown fields, no guessing.

The API server takes `3.0` for an integer and refuses `"3"` and `true`; pydantic's own rules are
looser. The three scalar types below are the server's rules, so that `scaletune validate` and
`kubectl apply` agree.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP: Final = "scaletune.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = "scaletune.dev/v1alpha1"


def _number(value: Any) -> Any:
    if isinstance(value, bool | str):
        raise ValueError(f"{value!r} is not a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a finite number")
    return value


Int = Annotated[int, BeforeValidator(_number)]
Number = Annotated[float, BeforeValidator(_number)]
Time = Annotated[str, Field(max_length=40, json_schema_extra={"format": "date-time"})]


# What a model is made of; a frozen one is filled past its own `__setattr__`.
_put_fields, _put_names, _put_extra, _put_private = (
    BaseModel.__dict__[name].__set__
    for name in (
        "__dict__",
        "__pydantic_fields_set__",
        "__pydantic_extra__",
        "__pydantic_private__",
    )
)


class Model(BaseModel):
    """An immutable API type; `model_copy(update=...)` makes the changed one."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        allow_inf_nan=False,
        frozen=True,
        use_attribute_docstrings=True,
    )

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic makes one, in a third of the time: every change of a Trial copies some.

        Nothing changes the names of the fields that are set, so copies share them.
        """
        if deep or update is None or self.model_extra is not None:
            return super().model_copy(update=update, deep=deep)
        new, known = self.__class__.__new__(self.__class__), self.__pydantic_fields_set__
        _put_fields(new, {**self.__dict__, **update})
        _put_names(new, known if known.issuperset(update) else known.union(update))
        _put_extra(new, None)
        _put_private(new, None)
        return new

    def to_yaml_fields(self) -> dict[str, Any]:
        """This as the plain data that `kubectl` would show: set fields only, camelCase."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)


class Metadata(Model):
    """The part of Kubernetes' ObjectMeta that Scaletune reads; the rest is kept as it came."""

    model_config = ConfigDict(extra="allow")

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
