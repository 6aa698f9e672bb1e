"""One rule, two enforcers: the API server runs its CEL text, pydantic runs its Python twin.

A rule that stood only in the CRD would let ``render`` and unit tests accept what a cluster
refuses; a rule that stood only in Python would let bad objects into the cluster. So each is
written once, with one message that says what to write instead, and a test applies the same
inputs to both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel

VALIDATIONS = "x-kubernetes-validations"


@dataclass(frozen=True)
class Rule:
    """A validation in both languages.

    Attributes:
        cel: expression over ``self`` that must be true; see
            https://kubernetes.io/docs/reference/using-api/cel/
        message: what the user reads: which field, what is wrong, what to write instead.
        check: the same expression in Python.
    """

    cel: str
    message: str
    check: Callable[[Any], bool]


def matcher(pattern: str) -> Callable[[str], bool]:
    r"""Return what CEL's ``matches`` does with a pattern: RE2 searches, and ``$`` is only the very end.

    Python's ``$`` also stands before a final newline, which would let ``"name\n"`` pass; a literal ``$`` is
    written ``[$]`` and ``\s`` spelled out, because RE2 counts fewer characters as spaces.
    """
    compiled = re.compile(re.sub(r"(?<!\[)\$", r"\\Z", pattern), re.ASCII)
    return lambda value: compiled.search(value) is not None


def matches(pattern: str, message: str) -> Rule:
    """Return the rule that a string matches a pattern (which must not hold a single quote)."""
    return Rule(f"self.matches(r'{pattern}')", message, matcher(pattern))


def differs(pattern: str, message: str) -> Rule:
    """Return the rule that a string does not match a pattern (which must not hold a single quote)."""
    found = matcher(pattern)
    return Rule(f"!self.matches(r'{pattern}')", message, lambda value: not found(value))


def broken(rules: Iterable[Rule], value: Any) -> str:
    """Return the messages of all rules that a value breaks, as the API server lists them all too."""
    return "; ".join(rule.message for rule in rules if not rule.check(value))


class Checked:
    """Annotated metadata that attaches rules to one field: ``Annotated[str, *Checked.by(rule)]``."""

    @staticmethod
    def by(*rules: Rule) -> tuple[AfterValidator, Validations]:
        """Return the annotations: a pydantic validator and the schema extension for the CRD."""

        def validate(value: Any) -> Any:
            if problems := broken(rules, value):
                raise ValueError(problems)
            return value

        return AfterValidator(validate), Validations(rules)


@dataclass(frozen=True)
class Validations:
    """Adds ``x-kubernetes-validations`` to the JSON schema of the annotated field."""

    rules: tuple[Rule, ...]

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        schema: dict[str, Any] = handler(core_schema)
        schema = handler.resolve_ref_schema(schema)
        schema.setdefault(VALIDATIONS, []).extend(cel_of(rule) for rule in self.rules)
        return schema


def cel_of(rule: Rule) -> dict[str, str]:
    """Return the rule as an entry of ``x-kubernetes-validations``."""
    return {"rule": rule.cel, "message": rule.message}


class Model(BaseModel):
    """Base of all API types: camelCase on the wire, unknown fields and other types refused, values frozen.

    Subclasses list rules over several of their fields in ``rules``. Null means "left out", as on the API server:
    https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting-and-nullable.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        strict=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None}
        return data

    @model_validator(mode="after")
    def _rules_hold(self) -> Model:
        if problems := broken(self.rules, self):
            raise ValueError(problems)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        schema: dict[str, Any] = handler(core_schema)
        resolved: dict[str, Any] = handler.resolve_ref_schema(schema)
        if cls.rules:
            resolved[VALIDATIONS] = [cel_of(rule) for rule in cls.rules]
        return schema
