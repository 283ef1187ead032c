"""The text of one value of a table, as a person would have written it."""

from __future__ import annotations

import datetime as dt
import json
import math
from decimal import Decimal
from typing import Any


def value_text(value: Any) -> str | None:
    """Return a value as text, None where there is none.

    7.0 is "7", a date and a time at midnight are the date (ISO 8601), lists are JSON.

    Raises: ValueError where it is no value that a table shows, such as bytes that are no text.
    """
    match value:
        case None:
            return None
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float() | Decimal():
            return _number_text(value)
        case dt.date() | dt.time():
            return _time_text(value)
        case dt.timedelta():
            return str(value)
        case bytes():
            return value.decode()
        case list() | tuple() | dict():
            return json.dumps(value, ensure_ascii=False, default=value_text)
    raise ValueError(f"a value of type {type(value).__name__}")


def _number_text(value: float | Decimal) -> str | None:
    if math.isnan(value):
        return None
    if math.isfinite(value) and value == int(value):
        return str(int(value))
    return format(value, "f") if isinstance(value, Decimal) else str(value)


def _time_text(value: dt.date | dt.time) -> str:
    # Spreadsheets know no date without a time: midnight is how they spell one.
    if isinstance(value, dt.datetime) and value.time() == dt.time() and value.tzinfo is None:
        return value.date().isoformat()
    return value.isoformat()
