"""Named weights that are each made, or read and checked, when they are asked for."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from torch import Tensor

Value = TypeVar("Value")


class LazyWeights(Mapping[str, Value], Generic[Value]):
    """Values by name that are each made when asked for, so that memory holds one at a time."""

    def __init__(self, names: Iterable[str], make: Callable[[str], Value]) -> None:
        self.names, self.make = dict.fromkeys(names), make

    def __getitem__(self, name: str) -> Value:
        if name not in self.names:
            raise KeyError(name)
        return self.make(name)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


class FileTensors(LazyWeights[Tensor]):
    """The tensors of files by name, mapped, each compared with its recorded hash when taken.

    forms: The same on the meta device, without data: shapes and dtypes are known without reading.
    """

    def __init__(self, forms: Mapping[str, Tensor], take: Callable[[str], Tensor]) -> None:
        super().__init__(forms, take)
        self.forms = dict(forms)

    @staticmethod
    def of(tensors: Mapping[str, Tensor], check: Callable[[str], object]) -> "FileTensors":
        """Return mapped tensors of which each is given out after `check` of its name."""

        def take(name: str) -> Tensor:
            check(name)
            return tensors[name]

        return FileTensors({name: tensor.to("meta") for name, tensor in tensors.items()}, take)

    def only(self, names: Iterable[str]) -> "FileTensors":
        """Return those of these names, in this order."""
        return FileTensors({name: self.forms[name] for name in names}, self.make)


def forms(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Return tensors for their shapes and dtypes alone: those of files are not read."""
    return tensors.forms if isinstance(tensors, FileTensors) else tensors


def only(tensors: Mapping[str, Tensor], names: Iterable[str]) -> Mapping[str, Tensor]:
    """Return the tensors of these names, in this order; those of files are not read."""
    if isinstance(tensors, FileTensors):
        return tensors.only(names)
    return {name: tensors[name] for name in names}
