"""Additions to an object that somebody else owns: what is put in, where, and how exactly that is taken out again.

One small language serves decoded JSON objects and YAML documents that keep their comments, since both are mappings
and lists. Everything is told apart by a key, never by a position, so what others add beside it stays theirs.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, MutableMapping, MutableSequence
from dataclasses import dataclass, field
from typing import Any, Literal

Path = tuple[str, ...]


class WrongShape(Exception):
    """The object is not as an edit needs it; the text says which path holds what."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One addition.

    Attributes:
        form: Entry: ``path`` names a key of a mapping, which gets ``value``. Item: ``path`` names a list of mappings,
            which gets ``value``, told apart by its ``key``. Member: ``path`` names a list of texts, which gets
            ``value``.
        path: keys of mappings from the root.
        key: of an Item: the field that names it.
        inside: of a Member: the list's owner must be there already; it is never made.
    """

    form: Literal["Entry", "Item", "Member"]
    path: Path
    value: Any
    key: str = "name"
    inside: bool = field(default=False, compare=False)

    @property
    def name(self) -> str:
        """What the addition is called, for people."""
        if self.form == "Entry":
            return self.path[-1]
        return str(self.value[self.key]) if self.form == "Item" else str(self.value)

    @property
    def identity(self) -> tuple[str, Path, str]:
        """What tells it apart from other additions to the same object."""
        return self.form, self.path, self.name

    def to_json(self) -> dict[str, Any]:
        """Return a JSON form for the record."""
        return {"form": self.form, "path": list(self.path), "value": self.value, "key": self.key}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Edit:
        """Return the edit that ``to_json`` wrote.

        Raises:
            KeyError: a part is missing.
            TypeError: a part is not what it should be.
        """
        form, path, key = value["form"], value["path"], value["key"]
        if form not in ("Entry", "Item", "Member") or not isinstance(key, str):
            raise TypeError
        if not isinstance(path, list) or not path or not all(isinstance(part, str) for part in path):
            raise TypeError
        if form == "Item" and not isinstance(value["value"][key], str):
            raise TypeError
        return cls(form, tuple(path), value["value"], key)


def entry(path: Path, value: Any) -> Edit:
    """Return the edit that gives a mapping a key."""
    return Edit("Entry", path, value)


def item(path: Path, value: Mapping[str, Any], key: str = "name") -> Edit:
    """Return the edit that adds a mapping to a list."""
    return Edit("Item", path, dict(value), key)


def member(path: Path, value: str) -> Edit:
    """Return the edit that adds a text to a list of a mapping that must be there."""
    return Edit("Member", path, value, inside=True)


def plain(value: Any) -> Any:
    """Return a copy in plain dicts and lists that share nothing."""
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def found(tree: Any, edit: Edit) -> list[Any]:
    """Return what stands where the edit would put its value; empty if nothing does."""
    owner = _at(tree, edit.path[:-1])
    if not isinstance(owner, Mapping) or edit.path[-1] not in owner:
        return []
    there = owner[edit.path[-1]]
    if edit.form == "Entry":
        return [there]
    if not isinstance(there, list):
        return []
    if edit.form == "Member":
        return [part for part in there if part == edit.value]
    return [part for part in there if isinstance(part, Mapping) and part.get(edit.key) == edit.value[edit.key]]


def stands(tree: Any, edits: Iterable[Edit]) -> bool:
    """Tell whether all of the edits are in an object, each once and unchanged."""
    return all([_same(part, edit.value, edit) for part in found(tree, edit)] == [True] for edit in edits)


def strangers(tree: Any, edits: Iterable[Edit], ours: Iterable[Edit]) -> list[Edit]:
    """Return the edits whose place is taken by somebody else's value.

    Args:
        ours: what this operator wrote earlier; it may be written over.
    """
    written: dict[tuple[str, Path, str], list[Any]] = {}
    for edit in ours:
        written.setdefault(edit.identity, []).append(edit.value)
    taken = []
    for edit in edits:
        known = [edit.value, *written.get(edit.identity, [])]
        there = found(tree, edit)
        if len(there) > 1 or any(not any(_same(part, value, edit) for value in known) for part in there):
            taken.append(edit)
    return taken


def put(tree: Any, edits: Iterable[Edit]) -> tuple[Path, ...]:
    """Put the edits in; return the paths of mappings and lists that had to be made for them.

    Raises:
        WrongShape: a path leads through something that is no mapping, or ends at something that is no list.
    """
    made: list[Path] = []
    for edit in edits:
        owner = _descend(tree, edit, made)
        last = edit.path[-1]
        if edit.form == "Entry":
            if last not in owner or not _same(owner[last], edit.value, edit):
                owner[last] = copy.deepcopy(edit.value)
            continue
        there = owner.get(last)
        if there is None:
            made.append(edit.path)
            owner[last] = [copy.deepcopy(edit.value)]
            continue
        if not isinstance(there, MutableSequence):
            raise WrongShape(f"{dotted(edit.path)} is not a list")
        standing = found(tree, edit)
        if not standing:
            there.append(copy.deepcopy(edit.value))
        elif not _same(standing[0], edit.value, edit):
            there[next(index for index, part in enumerate(there) if part is standing[0])] = copy.deepcopy(edit.value)
    return tuple(made)


def take(tree: Any, edits: Iterable[Edit], made: Iterable[Path]) -> bool:
    """Take out what still is as it was put in, then what was made for it and is empty; return whether any was there."""
    took = False
    for edit in edits:
        mine = [part for part in found(tree, edit) if _same(part, edit.value, edit)]
        if not mine:
            continue
        took = True
        owner = _at(tree, edit.path[:-1])
        if edit.form == "Entry":
            del owner[edit.path[-1]]
            continue
        there = owner[edit.path[-1]]
        for index in range(len(there) - 1, -1, -1):
            if any(there[index] is part for part in mine) or (edit.form == "Member" and there[index] == edit.value):
                del there[index]
    for path in sorted(made, key=len, reverse=True):
        owner = _at(tree, path[:-1])
        if isinstance(owner, MutableMapping) and path[-1] in owner and not owner[path[-1]]:
            del owner[path[-1]]
    return took


def dotted(path: Path) -> str:
    """Return a path as people write it."""
    return ".".join(path)


def _at(tree: Any, path: Path) -> Any:
    for part in path:
        if not isinstance(tree, Mapping):
            return None
        tree = tree.get(part)
    return tree


def _descend(tree: Any, edit: Edit, made: list[Path]) -> Any:
    """Return the mapping that owns the last part of an edit's path; mappings on the way are made."""
    owner = tree
    for depth, part in enumerate(edit.path[:-1], 1):
        if not isinstance(owner, MutableMapping):
            raise WrongShape(f"{dotted(edit.path[: depth - 1]) or 'the document'} is not a mapping")
        if owner.get(part) is None:
            if edit.inside:
                raise WrongShape(f"{dotted(edit.path[:depth])} is missing")
            made.append(edit.path[:depth])
            owner[part] = {}
        owner = owner[part]
    if not isinstance(owner, MutableMapping):
        raise WrongShape(f"{dotted(edit.path[:-1]) or 'the document'} is not a mapping")
    return owner


def _same(there: Any, wanted: Any, edit: Edit) -> bool:
    """Tell whether a value is the wanted one; of items, fields that an API server filled in do not count."""
    if edit.form != "Item":
        return bool(there == wanted) and isinstance(there, bool) == isinstance(wanted, bool)
    return isinstance(there, Mapping) and _covers(there, wanted) and ("value" in there) == ("value" in wanted)


def _covers(there: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(there, Mapping) and all(key in there and _covers(there[key], wanted[key]) for key in wanted)
    return bool(there == wanted)
