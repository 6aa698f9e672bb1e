"""One rule, two enforcers: the API server runs its CEL text, pydantic runs its Python twin.

A rule that stood only in the CRD would let ``render`` and unit tests accept what a cluster
refuses; a rule that stood only in Python would let bad objects into the cluster. So each is
written once, with one message that says what to write instead, and a test applies the same
inputs to both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, WithJsonSchema, model_validator
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


class Checked:
    """Annotated metadata that attaches rules to one field: ``Annotated[str, *Checked.by(rule)]``."""

    @staticmethod
    def by(*rules: Rule) -> tuple[AfterValidator, Validations]:
        """Return the annotations: a pydantic validator and the schema extension for the CRD."""

        def validate(value: Any) -> Any:
            for rule in rules:
                if not rule.check(value):
                    raise ValueError(rule.message)
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
    """Base of all API types: camelCase on the wire, unknown fields refused, values frozen.

    Subclasses list rules over several of their fields in ``rules``.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_enum_values=False,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _rules_hold(self) -> Model:
        for rule in self.rules:
            if not rule.check(self):
                raise ValueError(rule.message)
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> dict[str, Any]:
        schema: dict[str, Any] = handler(core_schema)
        resolved: dict[str, Any] = handler.resolve_ref_schema(schema)
        if cls.rules:
            resolved[VALIDATIONS] = [cel_of(rule) for rule in cls.rules]
        return schema


__all__ = ["VALIDATIONS", "Checked", "Model", "Rule", "Validations", "WithJsonSchema", "cel_of"]
