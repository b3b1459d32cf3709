"""An extension of Griffe, which reads the docstrings of the site: the docstring of a layer also describes its calls."""

import re
from typing import Any

import griffe

SECTION = re.compile(r"^(Call arguments|Returns|Yields):\n((?:    .*\n|\n)+)", flags=re.MULTILINE)
ENTRY = re.compile(r"^(\w+): ", flags=re.MULTILINE)


class LayerDocstrings(griffe.Extension):
    """Writes "Call arguments" and "Returns" of a class as lists; Griffe knows these sections from functions only."""

    def on_class(self, *, cls: griffe.Class, **_arguments: Any) -> None:
        if cls.docstring is not None and "Call arguments:" in cls.docstring.value:
            cls.docstring.value = with_lists(cls.docstring.value)


def with_lists(docstring: str) -> str:
    """Returns a docstring whose sections about calls are Markdown."""
    return SECTION.sub(_to_list, docstring.rstrip("\n") + "\n")


def _to_list(section: re.Match) -> str:
    text = "\n".join(line.removeprefix("    ") for line in section[2].rstrip("\n").split("\n"))
    is_list = section[1] == "Call arguments"
    entries = ENTRY.sub("- **`\\1`** \u2013 ", text) if is_list else "- " + text.replace("\n", "\n  ")
    rest = section[2][len(section[2].rstrip("\n")) :]
    return f"**{section[1]}:**\n\n{entries}{rest}"
