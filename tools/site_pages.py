"""The pages of the documentation site that are made from code, and the links of all others; a hook of MkDocs.

`index.md` is the README, `reference/commands.md` comes from the argument parsers of the command line, and
`reference/api_model_functions.md` from the table of variants. Imports no framework.
"""

import argparse
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from keras_cct.cli import create_parser
from keras_cct.models.config import ModelConfig
from keras_cct.models.variants import FAMILY_SIZES, list_models, variant_config

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/keras-cct/keras_cct/blob/main/"
RECIPE_GROUP = "recipe"
LINK = re.compile(r"(?<=\]\()(?!https?:|#|mailto:)([^)\s#]+)")
FENCE = re.compile(r"^```.*?^```$", flags=re.DOTALL | re.MULTILINE)


def on_files(files: "Files", config: "MkDocsConfig", **_arguments: Any) -> "Files":
    """Adds the generated pages."""
    from mkdocs.structure.files import File

    for name, content in generated_pages().items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: "Page", **_arguments: Any) -> str:
    """Makes links to files outside the folder of the pages links to the repository."""
    return link_to_repository(markdown, PurePosixPath("docs", page.file.src_uri))


def generated_pages() -> dict[str, str]:
    """Returns the content of each generated page, by its path in the folder of the pages."""
    return {
        "index.md": home_page((ROOT / "README.md").read_text()),
        "reference/commands.md": commands_page(create_parser()),
        "reference/api_model_functions.md": model_functions_page(),
    }


def home_page(readme: str) -> str:
    """Returns the README as a page in `docs`: its links start there instead of in the root of the repository."""
    return LINK.sub(lambda match: _relative_to_docs(match[1]), readme)


def _relative_to_docs(link: str) -> str:
    return link.removeprefix("docs/") if link.startswith("docs/") else f"../{link}"


def link_to_repository(markdown: str, source: PurePosixPath) -> str:
    """Replaces relative links that leave `docs` by URLs of the repository.

    Args:
        markdown: Content of a page.
        source: Path of the page in the repository.

    Raises:
        FileNotFoundError: The linked file does not exist.
    """

    def replace(match: re.Match) -> str:
        path = _normalized(source.parent / match[1])
        if path.parts[:1] == ("docs",):
            return match[1]
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"{source} links to {match[1]}, which does not exist.")
        return REPOSITORY + str(path)

    fences = list(FENCE.finditer(markdown))
    parts, start = [], 0
    for fence in fences:
        parts += [LINK.sub(replace, markdown[start : fence.start()]), fence[0]]
        start = fence.end()
    return "".join([*parts, LINK.sub(replace, markdown[start:])])


def _normalized(path: PurePosixPath) -> PurePosixPath:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts)


def commands_page(parser: argparse.ArgumentParser) -> str:
    """Returns the reference of all commands and flags."""
    commands = _subparsers(parser)
    lines = [
        "# Commands",
        "",
        "Every command prints its flags with `--help`, and `keras_cct --version` prints the version. "
        "`python -m keras_cct` is the same command, and `python train_keras.py` is `keras_cct train`.",
        "",
        "| exit code | meaning |",
        "|---|---|",
        "| 0 | success |",
        "| 1 | a written file differs from its source |",
        "| 2 | invalid input, or a file cannot be read or written; `predict`: at least one image was skipped |",
        "| 75 | another process of a [cluster](../guides/many_hosts.md#when-something-fails) has ended |",
        "| 130 | interrupted by Ctrl-C |",
        "| 143 | terminated by SIGTERM, after the state was saved |",
        "",
    ]
    for name, command in commands.items():
        nested = _subparsers(command)
        lines += [f"## {name}", "", f"{_sentence(_summary(parser, name))}", ""]
        if nested:
            for inner_name, inner in nested.items():
                lines += [f"### {name} {inner_name}", "", f"{_sentence(_summary(command, inner_name))}", ""]
                lines += _arguments(inner)
        else:
            lines += _arguments(command)
    lines += [
        "## Recipe keys",
        "",
        "Every key of a recipe is a flag of `train` and of `init`, and a field of "
        "[`Recipe`](api_data.md#keras_cct.Recipe). In YAML and in Python, a key has underscores: `--batch-size 64` is "
        "`batch_size: 64`. The key `data_dir` is the argument DATA. [timm's train.py](../coming_from/timm.md) lists "
        "the flags of that script one by one.",
        "",
    ]
    lines += _flag_table(_group(commands["train"], RECIPE_GROUP))
    return "\n".join(lines) + "\n"


def _subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    actions = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(actions[0].choices) if actions else {}


def _summary(parser: argparse.ArgumentParser, name: str) -> str:
    (action,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return next(choice.help or "" for choice in action._choices_actions if choice.dest == name)


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith(".") else f"{text}."


def _arguments(command: argparse.ArgumentParser) -> list[str]:
    """Returns the usage line and the tables of the arguments; the recipe keys have one table for all commands."""
    positional = [action for action in command._actions if not action.option_strings]
    names = " ".join(f"[{_metavar(action)}]" if action.nargs == "?" else _metavar(action) for action in positional)
    lines = ["```text", f"{command.prog} [FLAGS] {names}".rstrip(), "```", ""]
    if positional:
        rows = [f"| `{_metavar(action)}` | {_help(command, action)} |" for action in positional]
        lines += ["| argument | meaning |", "|---|---|", *rows, ""]
    for group in command._action_groups:
        flags = [action for action in group._group_actions if action.option_strings and _is_listed(action)]
        if group.title == RECIPE_GROUP:
            lines += [f"All [recipe keys](#recipe-keys) are flags of `{command.prog}`, too.", ""]
        elif flags:
            if group.title not in ("options", None):
                lines += [f"{_sentence(str(group.title))[:-1]}: {group.description}", ""]
            lines += _flag_table(flags, command)
    return lines


def _group(command: argparse.ArgumentParser, title: str) -> list[argparse.Action]:
    (group,) = (group for group in command._action_groups if group.title == title)
    return list(group._group_actions)


def _is_listed(action: argparse.Action) -> bool:
    return action.help != argparse.SUPPRESS and "--help" not in action.option_strings


def _flag_table(actions: list[argparse.Action], command: argparse.ArgumentParser | None = None) -> list[str]:
    rows = [f"| {_flags(action)} | {_help(command, action)} |" for action in actions]
    return ["| flag | meaning |", "|---|---|", *rows, ""]


def _flags(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else f" {_metavar(action)}"
    return "<br>".join(f"`{flag}{value}`" for flag in action.option_strings)


def _metavar(action: argparse.Action) -> str:
    if action.metavar is not None:
        name = str(action.metavar)
    elif action.choices is not None:
        name = f"{{{','.join(map(str, action.choices))}}}"
    else:
        name = action.dest.upper()
    if action.nargs == "+":
        return f"{name} ..."
    return " ".join([name] * action.nargs) if isinstance(action.nargs, int) and action.nargs > 1 else name


def _help(command: argparse.ArgumentParser | None, action: argparse.Action) -> str:
    text = (action.help or "") % {"default": action.default, "prog": command.prog if command else ""}
    return _sentence(text).replace("|", "\\|").replace("**", "\\*\\*").replace("<", "&lt;")


def model_functions_page() -> str:
    """Returns the list of the functions that create one variant or size each."""
    lines = [
        "# Model functions",
        "",
        "`keras_cct` has one function per published variant and one per size. Each takes the arguments of "
        "[`create_model`](api_models.md#keras_cct.create_model) except the name: "
        '`keras_cct.cct_7_3x1_32(num_classes=5)` is `keras_cct.create_model("cct_7_3x1_32", num_classes=5)`. '
        "[Models](../models.md) has the parameters, operations and weights of the variants.",
        "",
        "## Variants",
        "",
        "The defaults are those of the published model.",
        "",
        "| function | tokenizer | blocks | dim | heads | image | classes | positions |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_variant_row(name, variant_config(name)) for name in list_models()]
    lines += [
        "",
        "## Sizes",
        "",
        "A size sets the encoder only. Tokenizer, image shape and number of classes are arguments, by default the "
        "tokenizer of the table, 32x32x3 and 10.",
        "",
        "| function | tokenizer | blocks | dim | heads | MLP ratio | attention |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_size_row(name, variant_config(name)) for name in FAMILY_SIZES]
    return "\n".join(lines) + "\n"


def _tokenizer(config: ModelConfig) -> str:
    if config.patch_size is not None:
        return f"patches of {config.patch_size}x{config.patch_size}"
    return f"{config.num_conv_layers} x conv {config.kernel_size}x{config.kernel_size}"


def _variant_row(name: str, config: ModelConfig) -> str:
    height, width, _ = config.input_shape
    return (
        f"| `{name}` | {_tokenizer(config)} | {config.num_layers} | {config.dim} | {config.num_heads} | "
        f"{height}x{width} | {config.num_classes} | {config.position_embedding} |"
    )


def _size_row(name: str, config: ModelConfig) -> str:
    return (
        f"| `{name}` | {_tokenizer(config)} | {config.num_layers} | {config.dim} | {config.num_heads} | "
        f"{config.mlp_ratio:g} | {config.attention_type} |"
    )
