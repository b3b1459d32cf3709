"""A YAML reader for small, untrusted configuration files.

Recipes need plain values only. Aliases ("billion laughs"), tags and repeated keys are rejected, dates stay strings, and
every failure raises `InputError`.
"""

from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from keras_cct.errors import InputError

MAX_BYTES = 100_000
"""A recipe with every key has about 2,000 bytes; PyYAML reads about 100,000 in a second."""

_TIMESTAMP_TAG = "tag:yaml.org,2002:timestamp"


class _StrictLoader(yaml.SafeLoader):
    """`yaml.SafeLoader` without aliases, tags, timestamps and repeated keys."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own class attribute
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIMESTAMP_TAG]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent):
            raise ComposerError(None, None, "aliases are not supported", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise ComposerError(None, None, "tags are not supported", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        names = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in names:
                raise ConstructorError(None, None, f"{key.value!r} is repeated", key.start_mark)
            names.add(key.value)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, name: str) -> Any:
    """Returns the value of a YAML document: None, booleans, numbers, strings, lists and dictionaries.

    Args:
        text: The document.
        name: Name of the document in error messages.

    Raises:
        InputError: The text is not valid YAML or uses an unsupported feature.
    """
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except RecursionError as error:
        raise InputError(f"{name} is not valid YAML: it is nested too deeply. Use plain `key: value` lines.") from error
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{name} is not valid YAML: {reason}. Use plain `key: value` lines.") from error


def read_yaml_file(path: Path) -> Any:
    """Returns the value of the YAML document in a file of at most `MAX_BYTES`, as `parse_yaml` does.

    Raises:
        InputError: The file is too large, is not UTF-8, or is not valid YAML.
    """
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InputError(f"{str(path)!r} has more than {MAX_BYTES} bytes. Pass the YAML file of a recipe.")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"{str(path)!r} is not valid YAML: {error}. Save it as UTF-8.") from error
    return parse_yaml(text, repr(str(path)))
