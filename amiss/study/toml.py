"""The settings of a run as TOML: plain values in tables, written by hand because the standard library only reads."""

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["to_toml"]


def to_toml(settings: Mapping[str, Any]) -> str:
    """Settings as TOML, readable again by `tomllib`: values first, then one table for each dictionary.

    Args:
        settings: Text, numbers, booleans, and lists of them; one level of dictionaries. None is left out.
    """
    plain = {name: value for name, value in settings.items() if not isinstance(value, Mapping)}
    blocks = [_lines(plain)]
    for name, table in settings.items():
        if isinstance(table, Mapping) and (body := _lines(table)):
            blocks.append(f"[{_key(name)}]\n{body}")
    return "\n".join(block for block in blocks if block)


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{_key(name)} = {_value(value)}\n" for name, value in table.items() if value is not None)


def _key(name: str) -> str:
    bare = name.isascii() and name.replace("_", "").replace("-", "").isalnum()
    return name if bare else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        # JSON's escapes are TOML's, except that surrogates have no place in TOML, nor DEL outside an escape.
        text = json.dumps(value.encode("utf-8", "replace").decode(), ensure_ascii=False)
        return text.replace("\x7f", "\\u007f")
    return json.dumps(value) if not isinstance(value, float) else repr(float(value))
