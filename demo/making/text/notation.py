"""How forms are declared and how filled ones are written.

A form's purpose stands before its name: a model that reads the name has read what it is for. This
project's chat formats announce tools and write calls in other ways, which fine-tuning teaches.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from demo.making.text.fields import Draft, Field, Filled


@dataclass(frozen=True)
class Form:
    """A form; where it is asked for by its words, what is done, and to what.

    drafts: Of each field, how a value for it is drawn.
    """

    name: str
    about: str
    fields: tuple[Field, ...]
    verb: str = ""
    thing: str = ""
    drafts: tuple[Draft, ...] = ()


@dataclass(frozen=True)
class Entry:
    """A form that was filled in."""

    form: Form
    filled: tuple[Filled, ...]


def declared(forms: Sequence[Form]) -> str:
    """Return forms as interfaces, each under its purpose."""
    return "\n\n".join(map(_interface_of, forms))


def _interface_of(form: Form) -> str:
    lines = [f"// {form.about}", f"interface {form.name} {{"]
    for field in form.fields:
        kind = {"list": "string[]"}.get(field.kind, field.kind)
        kind = " | ".join(f'"{option}"' for option in field.options) or kind
        mark = "" if field.required else "?"
        lines += [f"// {field.about}"] if field.about else []
        lines.append(f"{field.name}{mark}: {kind},")
    return "\n".join([*lines, "}"])


def written(entry: Entry) -> str:
    """Return a filled in form as an object on a line, its fields in their declared order."""
    given = {filled.field.name: filled.value for filled in entry.filled}
    values = {field.name: given[field.name] for field in entry.form.fields if field.name in given}
    return json.dumps({"form": entry.form.name, "fields": values}, ensure_ascii=False)
