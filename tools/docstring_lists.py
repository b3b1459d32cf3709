"""An extension of Griffe, which reads the docstrings of the site.

Griffe knows the section "Returns" of functions only, and takes words before a colon in it for a type. It does not know
"Call arguments", which describes the calls of a layer in the docstring of its class.
"""

import re
from typing import Any

import griffe

SECTION = re.compile(r"^(Call arguments|Returns|Yields):\n((?:    .*\n|\n)+)", flags=re.MULTILINE)
ENTRY = re.compile(r"^(\w+): ", flags=re.MULTILINE)


class DocstringLists(griffe.Extension):
    """Writes these sections as Markdown lists."""

    def on_class(self, *, cls: griffe.Class, **_arguments: Any) -> None:
        _write_lists(cls)

    def on_function(self, *, func: griffe.Function, **_arguments: Any) -> None:
        _write_lists(func)


def _write_lists(documented: griffe.Class | griffe.Function) -> None:
    if documented.docstring is not None:
        documented.docstring.value = SECTION.sub(_to_list, documented.docstring.value.rstrip("\n") + "\n")


def _to_list(section: re.Match) -> str:
    content = section[2].rstrip("\n")
    text = "\n".join(line.removeprefix("    ") for line in content.split("\n"))
    is_list = section[1] == "Call arguments"
    entries = ENTRY.sub("- **`\\1`** \u2013 ", text) if is_list else "- " + text.replace("\n", "\n  ")
    return f"**{section[1]}:**\n\n{entries}{section[2][len(content) :]}"
