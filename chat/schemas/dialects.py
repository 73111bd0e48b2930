"""Dialects of tool parameters, brought to JSON Schema draft 2020-12.

The result is always a valid schema. What the draft cannot express is kept under
`x-original-KEYWORD`: a type name that means more than JSON's (`tuple`, `datetime`, a class), or a
value that the draft does not allow for its keyword.
"""

import json
from collections.abc import Mapping
from typing import Any

from chat.schemas.flat_parameters import (
    JSON_TYPES,
    by_name,
    excerpt,
    is_flat,
    is_type,
    json_types,
    truth,
    wrap_flat,
)
from chat.schemas.keywords import DROPPED, KEYWORDS, ORIGINAL, SUBSCHEMA, are_schemas
from chat.schemas.type_names import read_type, union
from chat.schemas.whole_objects import SPEAKS_OF_OTHERS, merge_root, settle_required

# Keys whose objects are never taken for properties without a wrapper: keywords of JSON Schema or
# of other vocabularies.
_NO_PROPERTIES = SUBSCHEMA.keys() | {"default", "const", "example", "xml", "discriminator"}

# Keywords that may refuse null beside a type that allows it, and those that say nothing of a value.
_MAY_REFUSE_NULL = {"$ref", "$dynamicRef", "allOf", "oneOf", "const", "not", "if"}
_ABOUT_A_VALUE = {"title", "description", "$comment", "default", "examples", "deprecated"} | {
    *("readOnly", "writeOnly", "$defs", "definitions", "$id", "$anchor", "$dynamicAnchor")
}


def normalise_parameters(parameters: Any, required: Any = None) -> dict[str, Any]:
    """Return a JSON Schema of type object with `properties`; ValueError for no known dialect.

    Args:
        parameters: A schema, flat parameters by name, a list of parameters, or JSON text of one;
            true, the schema of anything, for any object.
        required: The list of required names when it stands beside the parameters, else None.
    """
    if isinstance(parameters, str):
        parameters = _decoded(parameters)
    if isinstance(parameters, list):
        parameters = by_name(parameters)
    if parameters is True:
        parameters = {"type": "object", "additionalProperties": True}
    parameters = {} if parameters is None else parameters
    if not isinstance(parameters, Mapping):
        raise ValueError(f"parameters must be an object, found {excerpt(parameters)}")
    if is_flat(parameters):
        schema = _schema(wrap_flat(parameters, required))
    else:
        first = {} if "type" in parameters else {"type": "object"}
        schema = _schema({**first, **parameters, "type": "object"})
        schema.setdefault("properties", {})
    schema["type"] = "object"
    if isinstance(required, list) and "required" not in schema:
        schema["required"] = list(dict.fromkeys(n for n in required if isinstance(n, str)))
    schema = merge_root(schema)
    schema.setdefault("properties", {})
    settle_required(schema)
    if not SPEAKS_OF_OTHERS & schema.keys():
        # A required name without a property gets an empty schema.
        for name in schema.get("required", ()):
            schema["properties"].setdefault(name, {})
    return schema


def _schema(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return one schema in draft 2020-12."""
    result: dict[str, Any] = {}
    for key, value in source.items():
        if key == "type":
            _put_type(result, value, source)
        elif key in SUBSCHEMA:
            _put_subschema(result, key, value, source)
        elif key == "required":
            result[key] = value
        elif key in KEYWORDS:
            _put(result, key, KEYWORDS[key](value), value)
        elif value is not None and (key != "optional" or truth(value) is None):
            result[key] = value
    properties = _adopted(result) or source.get("properties")
    _finish_required(result, properties)
    _finish_values(result, source)
    return result


def _put(result: dict[str, Any], key: str, cleaned: Any, original: Any) -> None:
    """Store a keyword's value, or the original under `x-original-` if the draft refuses it."""
    if cleaned is ORIGINAL and original is not None:
        result[f"x-original-{key}"] = original
    elif cleaned is not DROPPED and cleaned is not ORIGINAL:
        result[key] = cleaned


def _put_type(result: dict[str, Any], value: Any, source: Mapping[str, Any]) -> None:
    """Store what a type name implies; keywords of the schema itself take precedence."""
    if isinstance(value, str) and value in JSON_TYPES:
        result["type"] = value
        return
    if value is None or value == "" or value == []:
        return
    listed = value if isinstance(value, list) else [value]
    names = ["null" if name is None else name for name in listed]
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"a type must be a name, found {excerpt(value)}")
    read = [read_type(name) for name in names]
    found = union([type_name.schema for type_name in read])
    exact = all(type_name.exact for type_name in read)
    overridden = [key for key in found if key != "type" and source.get(key) is not None]
    result.update({key: kept for key, kept in found.items() if key not in overridden})
    if not exact or overridden:
        result.setdefault("x-original-type", value)


def _put_subschema(result: dict[str, Any], key: str, value: Any, source: Mapping[str, Any]) -> None:
    """Store a keyword that holds a schema, a list of schemas, or schemas by name."""
    if value is None:
        return
    if key == "items" and isinstance(value, list) and "prefixItems" not in source:
        key = "prefixItems"
    elif key == "additionalItems" and isinstance(source.get("items"), list):
        key = "items"
    elif key == "properties":
        result[key] = _properties(value, source.get("required"))
        return
    form = SUBSCHEMA[key]
    if form == "list" and isinstance(value, list) and all(map(_is_schema, value)):
        _put(result, key, [_inner(item) for item in value] or DROPPED, value)
    elif form == "map" and are_schemas(value):
        result[key] = {name: _inner(schema) for name, schema in value.items()}
    elif form == "one" and _is_schema(value):
        result[key] = _inner(value)
    else:
        result[f"x-original-{key}"] = value


def _properties(value: Any, required: Any = None) -> dict[str, Any]:
    """Return schemas by name; a null that is not required is the padding of a table's column."""
    records = by_name(value) if isinstance(value, list) else value
    if not isinstance(records, Mapping):
        raise ValueError(f"properties must be an object, found {excerpt(value)}")
    for name, record in records.items():
        if not (record is None or isinstance(record, Mapping | bool | str)):
            raise ValueError(f"the property {name} must be an object, found {excerpt(record)}")
    needed = required if isinstance(required, list) else ()
    return {
        name: _inner(record)
        for name, record in records.items()
        if record is not None or name in needed
    }


def _inner(value: Any) -> Any:
    """Return a nested schema, given as an object, a boolean, or only a type's name."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _schema({"type": value} if is_type(value) else {"description": value})
    if _is_nothing_but_properties(value or {}):
        return _schema(wrap_flat(value))
    schema = _schema(value or {})
    # Cleaning drops keywords without a value, so only properties may be left now.
    return _schema(wrap_flat(schema)) if _is_nothing_but_properties(schema) else schema


def _is_nothing_but_properties(value: Mapping[str, Any]) -> bool:
    return bool(value) and _are_stray_properties(value) and not value.keys() & KEYWORDS.keys()


def _adopted(result: dict[str, Any]) -> dict[str, Any]:
    """Move stray schemas in an object without `properties` into `properties`; return them."""
    if result.get("type") != "object" or result.get("properties"):
        return {}
    strays = {
        key: value
        for key, value in result.items()
        if key not in KEYWORDS and key not in SUBSCHEMA and _are_stray_properties({key: value})
    }
    if strays:
        for key in strays:
            del result[key]
        result["properties"] = _properties(strays)
    return strays


def _are_stray_properties(values: Mapping[str, Any]) -> bool:
    """Whether these can only be properties without the `properties` keyword around them."""
    return not values.keys() & _NO_PROPERTIES and all(
        isinstance(value, Mapping)
        and not name.startswith("x-")
        and value.keys() & {"type", "description", "properties", "enum", "items"}
        for name, value in values.items()
    )


def _finish_required(result: dict[str, Any], properties: Any) -> None:
    """Make `required` a list of distinct names, including properties marked as required."""
    records = by_name(properties) if isinstance(properties, list) else properties or {}
    marked = [
        name
        for name, record in records.items()
        if isinstance(record, Mapping) and truth(record.get("required"))
    ]
    given = result.get("required")
    if isinstance(given, str):
        given = [name for name in map(str.strip, given.split(",")) if name in records] or None
    elif isinstance(given, Mapping):
        given = [name for name, value in given.items() if truth(value)]
    if isinstance(given, list) or marked:
        names = [name for name in given or () if isinstance(name, str)]
        result["required"] = list(dict.fromkeys([*names, *marked]))
    else:
        result.pop("required", None)


def _finish_values(result: dict[str, Any], source: Mapping[str, Any]) -> None:
    """Convert the keywords whose values depend on one another."""
    for key, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if source.get(key) is True and limit in result:
            result[key] = result.pop(limit)
            del result[f"x-original-{key}"]
        elif source.get(key) is False:
            del result[f"x-original-{key}"]
    values, items = result.get("enum"), result.get("items", {})
    of_members = bool(values) and not any(isinstance(value, list) for value in values or ())
    if of_members and result.get("type") == "array" and isinstance(items, dict):
        # For an array, data sets mean the choices of its members.
        choices = result.pop("enum")
        result["items"] = {"enum": choices, **items}
        if result["items"]["enum"] != choices:
            result["x-original-enum"] = choices
    kinds = json_types(result.get("type"))
    if kinds and "null" not in kinds and result.get("const", kinds) is None:
        # No value could fit: the null is the padding of a table's column.
        del result["const"]
    nullable = truth(result.get("nullable"))
    if nullable is not None:
        del result["nullable"]
    if nullable or ("default" in result and result["default"] is None):
        _accept_null(result)


def _accept_null(result: dict[str, Any]) -> None:
    """Change a schema so that it fits null too."""
    kinds = json_types(result.get("type"))
    if result.keys() & _MAY_REFUSE_NULL:
        strict = {key: result.pop(key) for key in list(result) if key not in _ABOUT_A_VALUE}
        result["anyOf"] = [strict, {"type": "null"}]
        return
    if kinds and "null" not in kinds:
        result["type"] = [*kinds, "null"]
    if "anyOf" in result and {"type": "null"} not in result["anyOf"]:
        result["anyOf"] = [*result["anyOf"], {"type": "null"}]
    if isinstance(result.get("enum"), list) and None not in result["enum"]:
        result["enum"] = [*result["enum"], None]


def _is_schema(value: Any) -> bool:
    return isinstance(value, Mapping | bool) or is_type(value)


def _decoded(text: str) -> Any:
    try:
        return json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise ValueError(f"parameters must be an object, found the text {excerpt(text)}") from error
