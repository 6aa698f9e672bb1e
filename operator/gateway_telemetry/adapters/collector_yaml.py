"""Edits of a Collector's YAML that leave every other byte as it is: comments, order, quotes, indentation.

A document is parsed for the positions of its parts only; what is added is put between them as text. Emitting the
whole document anew, even with a parser that remembers comments, moves those between the last entry of one section
and the next. Each result is read again and compared with the same edit of plain values, so that a spelling that was
not thought of leads to a refusal and never to another configuration.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from gateway_telemetry.adapters import edits as plain_edits
from gateway_telemetry.adapters.edits import Edit, Path, WrongShape, dotted, found, plain

INDENT = 2
DEPTH_LIMIT = 60
"""Levels of nesting; far more than any Collector has, and few enough for functions that call themselves."""
NODE_LIMIT = 200_000
"""Values once aliases are expanded; a megabyte of YAML could mean billions."""
_WIDTH = 10_000


def read(text: str) -> Any:
    """Return the document as plain values.

    Raises:
        WrongShape: it is not one YAML document with a mapping.
    """
    try:
        if "*" in text:
            _check_aliases(text)
        value = yaml.load(text, Loader=yaml.CSafeLoader)
    except RecursionError:
        raise WrongShape(f"it is nested more than {DEPTH_LIMIT} levels deep") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" at line {mark.line + 1}, column {mark.column + 1}"
        raise WrongShape(f"it is not valid YAML{where}: {getattr(error, 'problem', None) or 'unreadable'}") from None
    if not isinstance(value, dict):
        raise WrongShape("it is not a mapping with receivers, exporters and service")
    if _deeper(value, DEPTH_LIMIT):
        raise WrongShape(f"it is nested more than {DEPTH_LIMIT} levels deep")
    return plain(value)


def _deeper(value: Any, levels: int) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return parts is not None and (levels == 0 or any(_deeper(part, levels - 1) for part in parts))


def _check_aliases(text: str) -> None:
    """Refuse what would take the operator's memory: whoever may write a ConfigMap must not stop it.

    Raises:
        WrongShape: it refers to itself, or holds too much once its aliases are expanded.
        YAMLError: it is not valid YAML.
    """
    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = []
    count = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            if event.anchor is not None:
                sizes.pop(event.anchor, None)
            open_.append((event.anchor, count))
            count += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor is not None:
                sizes[anchor] = count - before
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_):
                raise WrongShape(f"its anchor {event.anchor} refers to itself")
            count += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.ScalarEvent):
            count += 1
        if count > NODE_LIMIT:
            raise WrongShape(f"it holds more than {NODE_LIMIT} values once its aliases are expanded")


def put(text: str, edits: Iterable[Edit]) -> tuple[str, tuple[Path, ...]]:
    """Put edits in; return the text, and the paths of mappings and lists that were made for them.

    Raises:
        WrongShape: the document does not hold what an edit needs, or is written in a way that cannot be added to.
    """
    before = read(text)
    wanted = plain(before)
    edits = tuple(edits)
    made = plain_edits.put(wanted, edits)
    for edit in edits:
        text = _put(text, edit, found(before, edit))
    return _checked(text, wanted), made


def take(text: str, edits: Iterable[Edit], made: Iterable[Path]) -> str:
    """Take edits out that still are as they were put in; the text stays as it is where there are none.

    Raises:
        WrongShape: the document cannot be read, or is written in a way that nothing can be taken out of.
    """
    wanted = read(text)
    edits, made = tuple(edits), tuple(made)
    mine = [edit for edit in edits if plain_edits.stands(wanted, [edit])]
    if not plain_edits.take(wanted, mine, made):
        return text
    for edit in mine:
        text = _take(text, edit)
    for path in sorted(made, key=len, reverse=True):
        if plain_edits.found(read(text), plain_edits.entry(path, None)) in ([None], [{}], [[]]):
            text = _drop(text, path)
    return _checked(text, wanted)


def _checked(text: str, wanted: Any) -> str:
    if _filled(read(text)) != _filled(wanted):
        raise WrongShape(
            "it is written in a way that nothing can be added to without changing something else (anchors, merge keys "
            "or an unusual layout): write exporters and service.pipelines plainly"
        )
    return text


def _filled(tree: Any) -> Any:
    """Return the tree without empty parts: an exporter's `null`, `{}` and nothing are the same to a Collector."""
    if not isinstance(tree, dict):
        return tree
    return {key: part for key, value in tree.items() if (part := _filled(value)) not in (None, {}, [])}


@dataclass(slots=True)
class _Node:
    """A part of a document, by position.

    Attributes:
        flow: whether it is written in brackets.
        line: where it begins, from 0.
        last_line: where it ends; comments behind it are not part of it.
    """

    kind: str
    flow: bool
    line: int
    column: int
    start: int
    last_line: int
    end: int
    value: str = ""
    pairs: list[tuple[_Node, _Node]] = field(default_factory=list)
    items: list[_Node] = field(default_factory=list)

    def get(self, key: str) -> tuple[_Node, _Node] | None:
        return next((pair for pair in self.pairs if pair[0].value == key), None)


def _parse(text: str) -> _Node:
    events = iter(yaml.parse(text, Loader=yaml.CSafeLoader))
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            return _node(next(events), events)
    raise WrongShape("it is empty")


def _node(event: Any, events: Iterator[Any]) -> _Node:
    mark, end = event.start_mark, event.end_mark
    flow = bool(getattr(event, "flow_style", False))
    node = _Node("scalar", flow, mark.line, mark.column, mark.index, end.line, end.index)
    if isinstance(event, yaml.MappingStartEvent):
        node.kind = "mapping"
        while not isinstance(following := next(events), yaml.MappingEndEvent):
            node.pairs.append((_node(following, events), _node(next(events), events)))
        _close(node, following, [value for _, value in node.pairs])
    elif isinstance(event, yaml.SequenceStartEvent):
        node.kind = "sequence"
        while not isinstance(following := next(events), yaml.SequenceEndEvent):
            node.items.append(_node(following, events))
        _close(node, following, node.items)
    elif isinstance(event, yaml.ScalarEvent):
        node.value = event.value
        if event.style in ("|", ">") and end.column == 0:
            node.last_line -= 1
    else:
        node.kind = "alias"
    return node


def _close(node: _Node, event: Any, parts: list[_Node]) -> None:
    if node.flow or not parts:
        node.last_line, node.end = event.end_mark.line, event.end_mark.index
    else:
        # The end of a block is found at the next token, behind comments that are not its own.
        node.last_line, node.end = parts[-1].last_line, parts[-1].end


def _find(root: _Node, path: Path) -> tuple[_Node, _Node] | None:
    """Return key and value at a path."""
    pair: tuple[_Node, _Node] | None = None
    node = root
    for depth, part in enumerate(path, 1):
        if node.kind == "alias":
            raise WrongShape(f"{dotted(path[: depth - 1])} is an alias of another part: write it out")
        pair = node.get(part)
        if pair is None:
            return None
        node = pair[1]
    return pair


def _put(text: str, edit: Edit, standing: list[Any]) -> str:
    if edit.form == "Entry":
        if standing:
            if standing == [edit.value]:
                return text
            text = _drop(text, edit.path)
        return _add(text, edit.path, edit.value)
    if standing:
        return text
    pair = _find(_parse(text), edit.path)
    if pair is None or _is_empty(pair[1]):
        if pair is not None:
            text = _drop(text, edit.path)
        return _add(text, edit.path, [edit.value])
    return _append(text, edit.path, pair[1], edit.value)


def _is_empty(node: _Node) -> bool:
    if node.kind == "alias":
        return False
    return not node.pairs and not node.items and (node.kind != "scalar" or node.value in ("", "~", "null"))


def _add(text: str, path: Path, value: Any) -> str:
    """Add a key to the mapping above it, which is made if there is none."""
    root = _parse(text)
    owner: tuple[_Node, _Node] | None = None
    node = root
    if len(path) > 1:
        owner = _find(root, path[:-1])
        if owner is None:
            return _add(text, path[:-1], {path[-1]: value})
        node = owner[1]
    if node.kind == "alias":
        raise WrongShape(f"{dotted(path[:-1])} is an alias of another part: write it out")
    flow = f"{json.dumps(path[-1])}: {json.dumps(value, ensure_ascii=False)}"
    if node.kind == "mapping" and node.pairs:
        if node.flow:
            return text[: node.pairs[-1][1].end] + ", " + flow + text[node.pairs[-1][1].end :]
        return _insert(text, node.last_line, _block({path[-1]: value}, node.column))
    if node.kind == "mapping":
        return text[: node.start + 1] + flow + text[node.start + 1 :]
    if owner is None or not _is_empty(node):
        raise WrongShape(f"{dotted(path[:-1]) or 'the document'} is not a mapping")
    # Nothing, or a word for nothing, behind the key.
    text = text[: node.start] + text[node.end :]
    return _insert(text, owner[0].line, _block({path[-1]: value}, owner[0].column + INDENT))


def _append(text: str, path: Path, node: _Node, value: str) -> str:
    if node.kind != "sequence":
        what = "an alias of another part: write it out" if node.kind == "alias" else "not a list"
        raise WrongShape(f"{dotted(path)} is {what}")
    last = node.items[-1]
    quoted = text[last.start] == '"' or not value.replace("/", "").replace("_", "").replace("-", "").isalnum()
    written = json.dumps(value) if quoted else value
    if node.flow:
        return f"{text[: last.end]}, {written}{text[last.end :]}"
    return _insert(text, node.last_line, f"{' ' * node.column}- {written}\n")


def _block(value: Any, column: int) -> str:
    lines = yaml.dump(
        value, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=_WIDTH, indent=INDENT
    ).splitlines()
    return "".join(f"{' ' * column}{line}\n" for line in lines)


def _insert(text: str, after_line: int, block: str) -> str:
    lines = text.splitlines(keepends=True)
    if not lines[after_line].endswith("\n"):
        lines[after_line] += "\n"
    return "".join([*lines[: after_line + 1], block, *lines[after_line + 1 :]])


def _take(text: str, edit: Edit) -> str:
    if edit.form == "Entry":
        return _drop(text, edit.path)
    pair = _find(_parse(text), edit.path)
    if pair is None:
        return text
    node = pair[1]
    index = next((number for number, part in enumerate(node.items) if part.value == edit.value), None)
    if index is None:
        return text
    if node.flow:
        return _cut(text, [(part.start, part.end) for part in node.items], index)
    return _without_lines(text, node.items[index].line, node.items[index].last_line)


def _drop(text: str, path: Path) -> str:
    """Take a key and its value out."""
    root = _parse(text)
    pair = _find(root, path)
    if pair is None:
        return text
    above = root if len(path) == 1 else (_find(root, path[:-1]) or (root, root))[1]
    if above.flow:
        index = next(number for number, one in enumerate(above.pairs) if one[0] is pair[0])
        return _cut(text, [(key.start, value.end) for key, value in above.pairs], index)
    return _without_lines(text, pair[0].line, max(pair[0].line, pair[1].last_line))


def _cut(text: str, spans: list[tuple[int, int]], index: int) -> str:
    """Cut one part out of brackets, with the comma before it, or behind it if it is the first."""
    start, end = spans[index]
    if index > 0:
        start = spans[index - 1][1]
    elif len(spans) > 1:
        end = spans[1][0]
    return text[:start] + text[end:]


def _without_lines(text: str, first: int, last: int) -> str:
    lines = text.splitlines(keepends=True)
    return "".join([*lines[:first], *lines[last + 1 :]])
