"""How forms are declared and how filled ones are written, in three ways each.

A form's purpose stands before its name, so that the name can be read in its light. None of the
ways is how this project's chat formats announce tools or write calls: fine-tuning has to teach it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from data.pretraining.fields import Draft, Field, Filled


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


def _schema(forms: Sequence[Form]) -> str:
    return "\n".join(json.dumps(_schema_of(form), ensure_ascii=False) for form in forms)


def _schema_of(form: Form) -> dict[str, object]:
    fields = {each.name: _property(each) for each in form.fields}
    required = [each.name for each in form.fields if each.required]
    return {
        "description": form.about,
        "name": form.name,
        "fields": {"type": "object", "properties": fields, "required": required},
    }


def _property(field: Field) -> dict[str, object]:
    kind: dict[str, object] = {"type": field.kind}
    if field.kind == "list":
        kind = {"type": "array", "items": {"type": "string"}}
    if field.options:
        kind["enum"] = list(field.options)
    return {**kind, "description": field.about} if field.about else kind


def _interface(forms: Sequence[Form]) -> str:
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


def _list(forms: Sequence[Form]) -> str:
    return "\n".join(map(_list_of, forms))


def _list_of(form: Form) -> str:
    lines = [f"# {form.about}", form.name]
    for field in form.fields:
        options = f" ({', '.join(field.options)})" if field.options else ""
        optional = "" if field.required else ", optional"
        about = f": {field.about}" if field.about else ""
        lines.append(f"- {field.name}, {field.kind}{optional}{about}{options}")
    return "\n".join(lines)


DECLARATIONS = {"schema": _schema, "interface": _interface, "list": _list}
# A small model masters few ways sooner than many.
COMMON = ("interface",) * 8 + ("schema", "list")


def _as_lines(entry: Entry) -> str:
    lines = [f"{each.field.name} = {_plain(each.value)}" for each in _in_order(entry)]
    return "\n".join([f"[{entry.form.name}]", *lines])


def _as_object(entry: Entry) -> str:
    values = {each.field.name: each.value for each in _in_order(entry)}
    return json.dumps({"form": entry.form.name, "fields": values}, ensure_ascii=False)


def _as_steps(entry: Entry) -> str:
    values = ", ".join(
        f"{each.field.name}: {json.dumps(each.value, ensure_ascii=False)}"
        for each in _in_order(entry)
    )
    return f"{entry.form.name}({values})"


ANSWERS = {"lines": _as_lines, "an object": _as_object, "a signature": _as_steps}
OFTEN = ("an object",) * 8 + ("lines", "a signature")


def _in_order(entry: Entry) -> list[Filled]:
    """Return the filled fields in the order in which the form declares them."""
    names = [each.name for each in entry.form.fields]
    return sorted(entry.filled, key=lambda each: names.index(each.field.name))


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
