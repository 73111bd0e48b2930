"""Models as users of pydantic write them, drawn by hypothesis, and their dumped schemas."""

import datetime
import enum
import ipaddress
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Optional, Union
from uuid import UUID

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, SecretStr, create_model


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Rank(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Drum(BaseModel):
    kind: Literal["drum"]
    litres: float


class Sack(BaseModel):
    kind: Literal["sack"]
    kilos: float = Field(gt=0, lt=50)


class Pallet(BaseModel):
    kind: Literal["pallet", "rack"]
    load: list[Annotated[Drum | Sack, Field(discriminator="kind")]] = Field(max_length=2)


class Tree(BaseModel):
    """A node of a tree."""

    model_config = ConfigDict(extra="forbid")
    name: str = Field(max_length=6)
    children: list["Tree"] = []
    parent: Optional["Tree"] = None


class Left(BaseModel):
    right: Optional["Right"] = None
    weight: int = 0


class Right(BaseModel):
    lefts: dict[str, Left] = {}
    tag: Literal["right"] = "right"


LEAVES: list[Any] = [
    *(int, float, str, bool, None, Any, bytes, Decimal, UUID, Path, AnyUrl, SecretStr),
    *(datetime.datetime, datetime.date, datetime.time, datetime.timedelta),
    *(ipaddress.IPv4Address, ipaddress.IPv4Network, Colour, Rank, Tree, Left, Drum, Pallet),
    *(Literal["a", "b"], Literal["one", 2, None], Literal["only"]),
    *(Annotated[int, Field(ge=1, le=100)], Annotated[int, Field(gt=0, multiple_of=5)]),
    *(Annotated[float, Field(gt=0, lt=1)], Annotated[float, Field(ge=-90, le=90)]),
    *(Annotated[float, Field(lt=0)], Annotated[float, Field(multiple_of=0.5)]),
    *(Annotated[str, Field(min_length=1, max_length=12)], Annotated[str, Field(max_length=3)]),
    Annotated[str, Field(pattern=r"^[a-z]{2,5}$")],
    Annotated[Drum | Sack | Pallet, Field(discriminator="kind")],
]
# Of a set, a schema says that its items are unique, which is not enforced.
_ALL_LEAVES = [*LEAVES * 4, set[int]]


def _around(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Types that hold other types."""
    return st.one_of(
        inner.map(lambda kind: list[kind]),
        inner.map(lambda kind: Annotated[list[kind], Field(min_length=1, max_length=2)]),
        inner.map(lambda kind: Optional[kind]),  # noqa: UP045
        inner.map(lambda kind: Union[kind, int]),  # noqa: UP007
        inner.map(lambda kind: dict[str, kind]),
        inner.map(lambda kind: dict[Literal["x", "y"], kind]),
        inner.map(lambda kind: dict[Annotated[str, Field(pattern="^[a-z]{1,3}$")], kind]),
        inner.map(lambda kind: tuple[kind, str]),
        st.lists(inner, min_size=1, max_size=3).map(_model),
    )


def _model(kinds: list[Any]) -> type[BaseModel]:
    """A model of fields of those types; every second one may be left out."""
    fields: dict[str, Any] = {
        f"field_{index}": (kind, Field(description=f"The {index}.") if index % 2 == 0 else None)
        for index, kind in enumerate(kinds)
    }
    return create_model(f"Model{len(kinds)}", **fields)


MODELS = st.lists(
    st.recursive(st.sampled_from(_ALL_LEAVES), _around, max_leaves=3), min_size=1, max_size=4
).map(_model)


def dumped_schemas(count: int) -> list[dict[str, Any]]:
    """Return the schemas of that many models, drawn without chance."""
    found: list[dict[str, Any]] = []

    @settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(MODELS)
    def collect(model: type[BaseModel]) -> None:
        found.append(model.model_json_schema())

    collect()
    return found
