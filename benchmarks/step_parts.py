"""Measures the parts of a step that keras_cct computes in its own way, next to the usual one, on a CPU.

* TensorFlow: batched matrix products with and without oneDNN; GELU, layer normalization, and softmax with dropout,
  forward and backward, compiled and as Keras computes them, in the shapes of cct_7_3x1_32 with batches of 64.
* JAX: the gradients of convolutions and max-pools, ours and XLA's, in the shapes of cct_2_3x2_32 with batches of 128.

The two sides take turns in one process, but for oneDNN, which needs a process each.

    python benchmarks/step_parts.py
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import cpu_name
from model_race import Parser

NUM_ROUNDS = 9
SIDES = ("products", "tensorflow", "jax")


def main() -> None:
    """Runs each comparison in a process of its own and prints a table."""
    parser = Parser(description="Measure the parts of a step that keras_cct computes in its own way.")
    parser.add_argument("--json", metavar="FILE", help="write all results to this file")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps({"products": time_products, "tensorflow": time_tensorflow, "jax": time_jax}[options.side]()))
        return
    without, ours = (_run("products", TF_ENABLE_ONEDNN_OPTS=flag) for flag in ("0", "1"))
    results = {name: [ours[name], without[name]] for name in ours}
    results |= _run("tensorflow", KERAS_BACKEND="tensorflow") | _run("jax", KERAS_BACKEND="jax")
    print(f"{cpu_name()}\n{'milliseconds':44}{'ours':>8}{'usual':>8}  ratio")
    for name, (own, usual) in results.items():
        print(f"{name:44}{own:8.1f}{usual:8.1f}  {usual / own:.1f}")
    if options.json:
        Path(options.json).write_text(json.dumps({"cpu": cpu_name(), "milliseconds": results}, indent=2) + "\n")


def _run(side: str, **environment: str) -> dict:
    command = [sys.executable, __file__, "--side", side]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | environment
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def time_products() -> dict[str, float]:
    """Times the matrix products of attention in TensorFlow."""
    import tensorflow as tf

    query, key = (tf.constant(_random(256, 256, 64)) for _ in range(2))
    product = tf.function(lambda query, key: tf.matmul(query, key, transpose_b=True))
    return {"TensorFlow: query * key": _compare([lambda: product(query, key)])[0]}


def time_tensorflow() -> dict[str, list[float]]:
    """Times element-wise parts, forward and backward."""
    import keras
    import tensorflow as tf

    from keras_cct.layers.elementwise import Dropout, LayerNormalization, gelu

    norm = LayerNormalization()
    norm.build((None, 256, 256))
    dropout, usual_dropout = Dropout(0.1), keras.layers.Dropout(0.1)
    usual_norm = super(LayerNormalization, norm).call
    parts = {
        "GELU": (lambda x: gelu(x, training=True), gelu, (64, 256, 512)),
        "layer normalization": (lambda x: norm(x, training=True), usual_norm, (64, 256, 256)),
        "softmax with dropout": (
            dropout.of_softmax,
            lambda x: usual_dropout(keras.ops.softmax(x), training=True),
            (64, 4, 256, 256),
        ),
    }

    def step(function: Callable, x: tf.Tensor) -> Callable:
        @tf.function
        def run() -> tf.Tensor:
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = function(x)
            return tape.gradient(y, x, output_gradients=upstream)

        upstream = x
        return run

    results = {}
    for name, (own, usual, shape) in parts.items():
        x = tf.constant(_random(*shape))
        results[f"TensorFlow: {name}"] = _compare([step(own, x), step(usual, x)])
    return results


def time_jax() -> dict[str, list[float]]:
    """Times the gradients of kernels and of max-pools."""
    import jax

    from keras_cct.layers.convolution import max_pool
    from keras_cct.layers.jax_convolution import _convolve, convolve

    results = {}
    for size, channels, filters in ((32, 3, 64), (16, 64, 128)):
        images, kernel = _random(128, size, size, channels), _random(3, 3, channels, filters)
        upstream = _random(128, size, size, filters)
        sides = []
        for function in (convolve, _convolve):
            of_kernel = jax.jit(lambda i, k, u, f=function: jax.vjp(lambda k: f(i, k, 1, "SAME"), k)[1](u))
            sides.append(lambda g=of_kernel, i=images, k=kernel, u=upstream: jax.block_until_ready(g(i, k, u)))
        results[f"JAX: kernel of {channels} to {filters} channels"] = _compare(sides)
        pooled, upstream = _random(128, size, size, filters), _random(128, size // 2, size // 2, filters)
        sides = []
        for training in (True, False):
            of_pool = jax.jit(lambda x, u, t=training: jax.vjp(lambda x: max_pool(x, t), x)[1](u))
            sides.append(lambda g=of_pool, x=pooled, u=upstream: jax.block_until_ready(g(x, u)))
        results[f"JAX: max-pool of {size}x{size}x{filters}"] = _compare(sides)
    return results


def _random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype("float32")


def _compare(sides: list[Callable]) -> list[float]:
    """Calls functions in turns and returns the median milliseconds of each."""
    for call in sides:
        call()
    rounds = [[_milliseconds(call) for call in sides] for _ in range(NUM_ROUNDS)]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def _milliseconds(call: Callable) -> float:
    start = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
