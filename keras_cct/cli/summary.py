"""The command `keras_cct summary`, and the table of all variants of `keras_cct models --table`."""

import argparse
import csv
import dataclasses
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_cct.cli.frameworks import load_frameworks
from keras_cct.errors import InputError
from keras_cct.inference.artifacts import KERAS, artifact_format, find_keras_file
from keras_cct.models.variants import FAMILY_SIZES, list_models, variant_config, variant_dataset
from keras_cct.weights.pretrained import CHECKPOINTS

if TYPE_CHECKING:
    from keras_cct.models.summary import LayerSummary, ModelSummary

TABLE_FORMATS = ("text", "json", "csv")


def add_summary(commands: Any) -> None:
    """Adds the command to the subparsers of the main parser."""
    summary = commands.add_parser("summary", help="list shapes, parameters, MACs and activation memory of each layer")
    summary.add_argument(
        "model", metavar="MODEL", help="variant or size, e.g. cct_7_3x1_32, run folder, .keras file or hf://user/name"
    )
    summary.add_argument(
        "--input-size",
        nargs="+",
        type=int,
        metavar="INT",
        help="height and width of the images, or one number for both (default: the variant's)",
    )
    add_table_format(summary)
    summary.set_defaults(run=_summary)


def add_table_format(command: argparse.ArgumentParser) -> None:
    """Adds `--format` to a command that prints a table."""
    command.add_argument("--format", choices=TABLE_FORMATS, default="text", help="output format (default: text)")


def _summary(options: argparse.Namespace) -> None:
    if options.model in FAMILY_SIZES or options.model in list_models():
        config = variant_config(options.model, **_input_shape(options.input_size))
        load_frameworks()
        from keras_cct.models.summary import summarize_config

        summary = summarize_config(config)
    else:
        path = _model_file(options)
        load_frameworks()
        from keras_cct.models.summary import summarize
        from keras_cct.weights.formats import read_keras_file

        summary = summarize(read_keras_file(path))
    print_summary(summary, options.format)


def _model_file(options: argparse.Namespace) -> Path:
    """Returns the `.keras` file that the arguments name."""
    if options.input_size is not None:
        raise InputError(
            f"--input-size needs a variant, got {options.model!r}, whose size is fixed. Leave --input-size out."
        )
    path = find_keras_file(options.model)
    if not path.exists() and "." not in path.name and not path.parent.name:
        variant_dataset(options.model)  # raises: a misspelled variant
    if artifact_format(path) != KERAS:
        raise InputError(f"{str(path)!r} is an exported artifact. Pass the run folder or the .keras file.")
    return path


def _input_shape(size: list[int] | None) -> dict[str, tuple[int, int, int]]:
    if size is None:
        return {}
    if len(size) > 2 or min(size) < 1:
        raise InputError(f"--input-size takes one or two positive numbers, height and width, got {size}.")
    return {"input_shape": (size[0], size[-1], 3)}


def print_summary(summary: "ModelSummary", output_format: str) -> None:
    """Prints a summary as text, JSON or CSV."""
    rows = [*summary.layers, summary.total]
    if output_format == "json":
        content = {"name": summary.name, "input_shape": summary.input_shape}
        content |= {"layers": [dataclasses.asdict(row) for row in rows[:-1]], "total": dataclasses.asdict(rows[-1])}
        print(json.dumps(content, indent=2))
    elif output_format == "csv":
        records = [dataclasses.asdict(row) | {"output_shape": _shape(row.output_shape)} for row in rows]
        _print_csv(records)
    else:
        height, width, channels = summary.input_shape
        print(f"{summary.name}, images of {height}x{width}x{channels}\n")
        _print_layers(rows)


def _print_layers(rows: "list[LayerSummary]") -> None:
    width = max(len(row.name) for row in rows)
    columns = f"{'parameters':>12} {'MACs (M)':>12} {'+ attention':>12} {'kB':>10}"
    print(f"{'layer':{width}} {'output':>14} {columns}")
    for row in rows:
        numbers = f"{row.parameters:12,} {row.macs / 1e6:12,.3f} {row.macs_with_attention / 1e6:12,.3f}"
        print(f"{row.name:{width}} {_shape(row.output_shape):>14} {numbers} {row.activation_bytes / 1e3:10,.1f}")


def print_table(names: Iterable[str], output_format: str) -> None:
    """Prints parameters, MACs, activation memory and published accuracy of variants.

    Args:
        names: Names of the variants.
        output_format: "text", "json" or "csv".
    """
    load_frameworks()
    records = [_table_record(name, _total(name)) for name in names]
    if output_format == "json":
        print(json.dumps(records, indent=2))
    elif output_format == "csv":
        _print_csv([{**record, "top1": _accuracies(record["top1"], "=")} for record in records])
    else:
        _print_table_text(records)


def _total(name: str) -> "LayerSummary":
    from keras_cct.models.summary import summarize_config

    # Without what does not change the numbers, more variants share the summary that is computed once.
    return summarize_config(variant_config(name, normalization=None, position_embedding="learnable")).total


def _table_record(name: str, total: "LayerSummary") -> dict[str, Any]:
    height, width, _ = variant_config(name).input_shape
    return {
        "variant": name,
        "height": height,
        "width": width,
        "classes": variant_config(name).num_classes,
        "dataset": variant_dataset(name),
        "parameters": total.parameters,
        "macs": total.macs,
        "macs_with_attention": total.macs_with_attention,
        "activation_bytes": total.activation_bytes,
        "top1": {checkpoint.tag: checkpoint.top1 for checkpoint in CHECKPOINTS if checkpoint.variant == name},
    }


def _print_table_text(records: list[dict[str, Any]]) -> None:
    width = max(len(record["variant"]) for record in records)
    print(
        f"{'variant':{width}} {'pixels':>7} {'params (M)':>10} {'MACs (G)':>9} {'+ attention':>11} {'MB':>7}  "
        f"published top-1 in %"
    )
    for record in records:
        numbers = f"{record['parameters'] / 1e6:10.3f} {record['macs'] / 1e9:9.3f}"
        numbers += f" {record['macs_with_attention'] / 1e9:11.3f} {record['activation_bytes'] / 1e6:7.1f}"
        size = f"{record['height']}x{record['width']}"
        print(f"{record['variant']:{width}} {size:>7} {numbers}  {_accuracies(record['top1'], ' ')}".rstrip())


def _accuracies(top1: dict[str, float], separator: str) -> str:
    return ", ".join(f"{tag}{separator}{value:.2f}" for tag, value in top1.items())


def _print_csv(records: list[dict[str, Any]]) -> None:
    writer = csv.DictWriter(sys.stdout, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)


def _shape(shape: tuple[int | None, ...]) -> str:
    return "x".join(map(str, shape))
