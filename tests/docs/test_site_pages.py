"""The documentation names everything: public names, commands, flags, recipe keys, configs and models."""

import argparse
import dataclasses
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from fixtures.code_blocks import PAGES, ROOT, page_name, prose_of

import keras_cct
from keras_cct.cli import create_parser
from keras_cct.models.variants import FAMILY_SIZES, list_models
from keras_cct.recipe.loading import CONFIGS, UNSUPPORTED_KEYS
from keras_cct.recipe.recipe import Recipe
from keras_cct.weights.pretrained import CHECKPOINTS

DOCS = ROOT / "docs"
MODEL_FUNCTIONS = {*FAMILY_SIZES, *list_models()}


def load_tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


site_pages = load_tool("site_pages")


def flag_of(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def listed_flags(page: Path, section: str) -> set[str]:
    """Returns the flags in the first column of the tables of a section."""
    text = page.read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {flag for row in rows for flag in re.findall(r"`(-[\w-]+)`", row)}


def parsers_of(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield command
                yield from parsers_of(command)


def test_every_public_name_has_an_entry_in_the_api_reference():
    entries = "".join(page.read_text() for page in (DOCS / "reference").glob("api_*.md"))
    documented = set(re.findall(r"^::: keras_cct\.(\w+)$", entries, flags=re.MULTILINE))
    documented |= set(re.findall(r'(?:{ #|id=")keras_cct\.(\w+)', entries))
    assert set(keras_cct.__all__) - MODEL_FUNCTIONS <= documented
    functions = site_pages.model_functions_page()
    assert set(re.findall(r"^\| `(\w+)` \|", functions, flags=re.MULTILINE)) == MODEL_FUNCTIONS


def test_every_command_and_flag_is_in_the_command_reference():
    page = site_pages.commands_page(create_parser())
    listed = set(re.findall(r"`(--?[\w-]+)", page))
    for parser in parsers_of(create_parser()):
        assert f"{parser.prog} " in page
        for action in parser._actions:
            if action.help != argparse.SUPPRESS and "--help" not in action.option_strings:
                assert set(action.option_strings) <= listed, (parser.prog, action.option_strings)


def test_the_page_about_timm_names_every_key_and_says_what_becomes_of_it():
    page = DOCS / "coming_from" / "timm.md"
    (train,) = (parser for parser in parsers_of(create_parser()) if parser.prog == "keras_cct train")
    accepted, refused = set(), set()
    for action in train._actions:
        (refused if action.help == argparse.SUPPRESS else accepted).update(action.option_strings)
    sections = ("Flags that are the same", "Flags that mean something else", "Flags that timm 0.4.12 does not have")
    known = [listed_flags(page, section) for section in sections]
    assert set().union(*known) <= accepted
    assert {flag_of(field.name) for field in dataclasses.fields(Recipe)} - {"--data-dir"} <= set().union(*known)
    unsupported = listed_flags(page, "Flags that are refused")
    assert unsupported <= refused
    named = unsupported | set(re.findall(r"`(\w+)`", page.read_text()))
    assert [key for key in UNSUPPORTED_KEYS if not {flag_of(key), f"--{key}", key} & named] == []


def test_the_page_about_the_paper_has_a_command_for_every_published_config():
    text = (DOCS / "guides" / "reproducing.md").read_text()
    with_weights = {path.stem for folder in ("pretrained", "finetuned") for path in (CONFIGS / folder).glob("*.yml")}
    assert with_weights - {"cct_2-3x2_fashion_mnist"} == set(
        re.findall(r"^keras_cct train -c (\S+)$", text, flags=re.MULTILINE)
    )
    assert all(f"`{name}`" in text or f"-c {name} " in text for name in (path.stem for path in CONFIGS.rglob("*.yml")))
    accuracies = {f"{checkpoint.top1:.2f} %" for checkpoint in CHECKPOINTS if not checkpoint.bundled}
    assert accuracies == set(re.findall(r"\| (\d\d\.\d\d %) \|", text))


def test_the_tables_of_weights_agree_with_the_registry():
    table = "\n".join(load_tool("make_models_page").weights_table())
    assert table in (ROOT / "README.md").read_text()
    assert table in (DOCS / "models.md").read_text()


def test_the_page_of_models_lists_every_variant():
    text = (DOCS / "models.md").read_text().split("## Compact transformers")[1]
    assert set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)) == set(list_models())


@pytest.mark.slow
def test_the_page_of_models_is_what_the_tool_writes():
    assert (DOCS / "models.md").read_text() == load_tool("make_models_page").models_page()


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_relative_link_exists(page):
    generated = {DOCS / name for name in site_pages.generated_pages()}
    links = [(page.parent / link).resolve() for link in site_pages.LINK.findall(prose_of(page))]
    assert [str(link) for link in links if not link.exists() and link not in generated] == []


def test_links_that_leave_the_pages_point_to_the_repository():
    home = site_pages.home_page("[Photos](docs/guides/photos.md) and [license](LICENSE)")
    assert home == "[Photos](guides/photos.md) and [license](../LICENSE)"
    assert site_pages.link_to_repository(home, site_pages.PurePosixPath("docs/index.md")) == (
        f"[Photos](guides/photos.md) and [license]({site_pages.REPOSITORY}LICENSE)"
    )
    with pytest.raises(FileNotFoundError, match="GONE"):
        site_pages.link_to_repository("[x](../GONE)", site_pages.PurePosixPath("docs/index.md"))


@pytest.mark.parametrize("page", load_tool("make_benchmark_tables").PAGES, ids=page_name)
def test_tables_are_those_of_the_committed_results(page):
    text = page.read_text()
    assert "<!-- table: " in text
    assert load_tool("make_benchmark_tables").with_tables(text) == text
