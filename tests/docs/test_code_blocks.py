"""Every code block of the README and of the documentation runs, or says why it does not.

Training commands are checked up to the first step here, and train for one epoch in `make test-all`.
"""

import itertools
import shutil
import subprocess
from pathlib import Path

import pytest
from fixtures.code_blocks import (
    OTHER_LANGUAGES,
    PAGES,
    RUN_LANGUAGES,
    Block,
    blocks_of,
    page_name,
    prose_of,
    write_reader_folder,
)
from fixtures.small_run import first_images, sample_choice

import keras_cct
from keras_cct.cli import create_parser, main
from keras_cct.cli import train as train_command
from keras_cct.cli.recipe_flags import recipe_overrides
from keras_cct.data.sources import open as sources
from keras_cct.export import model as export
from keras_cct.export import temperature
from keras_cct.recipe.loading import CONFIGS, load_recipe

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("default"),  # such as that of a new head
]
SHORT = ["--epochs", "1", "--warmup-epochs", "0", "--cooldown-epochs", "0"]
SHORTCUTS = {"train": ["--print-recipe"], "benchmark": ["--seconds", "0"]}
"""Flags that make commands finish sooner, by command."""
SHIPPED = {path.stem for path in CONFIGS.rglob("*.yml")}
PAGES_WITH_CODE = [page for page in PAGES if any(block.language in RUN_LANGUAGES for block in blocks_of(page))]
every_page = pytest.mark.parametrize("page", PAGES_WITH_CODE, ids=page_name)


def runnable(page: Path, language: str | None = None) -> list[Block]:
    languages = RUN_LANGUAGES if language is None else (language,)
    return [block for block in blocks_of(page) if block.language in languages and block.reason is None]


def training_commands(page: Path) -> list[list[str]]:
    commands = [command for block in runnable(page, "shell") for command in block.commands()]
    return [command for command in commands if command[:2] == ["keras_cct", "train"]]


@pytest.fixture(scope="module")
def reader_folder(tmp_path_factory) -> Path:
    return write_reader_folder(tmp_path_factory.mktemp("reader"))


@pytest.fixture
def in_reader_folder(reader_folder, tmp_path, monkeypatch):
    """Makes a copy of the folder the current one, and the first images of the bundled sample all of it."""
    monkeypatch.chdir(shutil.copytree(reader_folder, tmp_path / "copy", symlinks=True))
    for module in (keras_cct, sources, export, temperature):
        monkeypatch.setattr(module, "load_sample", lambda split: first_images(split, 8))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_block_has_a_language(page):
    assert {block.language for block in blocks_of(page)} <= {*RUN_LANGUAGES, *OTHER_LANGUAGES}
    lines = prose_of(page).split("\n")
    indented = [line for before, line in itertools.pairwise(lines) if not before and line[:4] == "    "]
    assert indented == []


@pytest.mark.parametrize("page", [page for page in PAGES_WITH_CODE if runnable(page)], ids=page_name)
def test_blocks_run(page, in_reader_folder, monkeypatch):
    if page.stem != "photos":  # elsewhere, choosing a recipe for the photos again and again would take a minute
        monkeypatch.setattr(train_command, "choose", sample_choice)
    names: dict = {}
    for block in runnable(page):
        if block.language == "python":
            exec(compile(block.code, page_name(page), "exec"), names)
            continue
        for command in block.commands():
            assert command[0] == "keras_cct", command
            assert main([*command[1:], *SHORTCUTS.get(command[1], [])]) == 0, command


@every_page
def test_blocks_that_do_not_run_are_valid(page):
    for block in blocks_of(page):
        if block.reason is None or block.language not in RUN_LANGUAGES:
            continue
        if block.language == "python":
            compile(block.code, page_name(page), "exec")
            continue
        subprocess.run(["bash", "-n", "-c", block.code], check=True)
        for command in block.commands():
            if command[0] == "keras_cct":
                options = create_parser().parse_args(command[1:])
                if command[1] == "train" and Path(options.config or "").stem in SHIPPED:
                    load_recipe(options.config, **recipe_overrides(options))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES_WITH_CODE if training_commands(page)], ids=page_name)
def test_training_commands_train(page, in_reader_folder):
    for command in training_commands(page):
        if "--resume" in command or "--print-recipe" in command:
            continue
        if "--output" in command:
            shutil.rmtree(command[command.index("--output") + 1], ignore_errors=True)
        assert main([*command[1:], *SHORT]) == 0, command
