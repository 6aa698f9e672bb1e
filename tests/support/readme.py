"""Commands and manifests of a page, so that tests do what it tells its readers to do."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def section(title: str, page: str = "README.md") -> str:
    """Return the text of a page's section, without its heading.

    Raises:
        LookupError: the page has no such section.
    """
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    if found is None:
        raise LookupError(f"{page} has no section {title!r}")
    return found[1]


def blocks(text: str, language: str) -> list[str]:
    """Return the contents of the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """Return the commands that a section shows behind ``$``, split as a shell would; comments are dropped."""
    lines = [line for block in blocks(text, "console") for line in re.sub(r" *\\\n *", " ", block).splitlines()]
    return [shlex.split(line[2:], comments=True) for line in lines if line.startswith("$ ")]
