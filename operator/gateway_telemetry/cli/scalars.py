"""What a plain YAML scalar means to Kubernetes.

The rules are those of sigs.k8s.io/yaml (Go's yaml.v2): YAML 1.1 without base 60, and dates stay strings.
"""

from __future__ import annotations

import math
import re
from typing import Any

_TRUE = frozenset({"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})
_FALSE = frozenset({"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INTEGER = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_DECIMAL = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def scalar(text: str) -> Any:
    """Return what a plain scalar means.

    Raises:
        ValueError: a number that JSON does not have.
    """
    if text in _NULLS:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INFINITE.fullmatch(text):
        raise ValueError("infinity and NaN are not numbers in JSON")
    if text[0] not in "+-.0123456789":
        return text
    plain = text if text[0] == "." else text.replace("_", "")
    whole = integer(plain)
    if whole is not None:
        return whole
    if not _DECIMAL.fullmatch(plain):
        return text
    try:
        return exact(float(plain))
    except OverflowError:
        return text


def integer(text: str) -> int | None:
    """Return the integer, or None if it is none or does not fit 64 bits."""
    found = _INTEGER.fullmatch(text)
    if found is None or len(text) > 70:
        return None
    sign, hexadecimal, binary, octal, decimal = found.groups()
    for digits, base in ((hexadecimal, 16), (binary, 2), (octal, 8), (decimal, 10)):
        if digits:
            value = int(digits, base) * (-1 if sign == "-" else 1)
            return value if -(2**63) <= value < 2**64 else None
    return None


def exact(number: float) -> int | float:
    """Return an integer where the number is one: JSON does not tell 1.0 from 1.

    Raises:
        OverflowError: it is infinite.
    """
    if math.isinf(number):
        raise OverflowError
    return int(number) if number.is_integer() and abs(number) < 2**53 else number
