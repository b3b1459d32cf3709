"""Trains with Ray Train: `python ray_train.py DATA RUN --workers 4 --gpu`.

DATA and RUN must be on a file system that all hosts share. Ray starts JAX's runtime itself on GPUs and TPUs, and
keras_cct does on CPUs. Tried with Ray 2.60 and two workers on CPUs.
"""

import argparse
import os
import socket
from pathlib import Path


def train_on_worker(settings: dict) -> None:
    """Runs in every worker."""
    os.environ["KERAS_BACKEND"] = "jax"
    import ray.train
    from ray.train.collective import broadcast_from_rank_zero

    import keras_cct

    with socket.create_server(("", 0)) as server:
        free_port = server.getsockname()[1]
    address = broadcast_from_rank_zero(f"{socket.gethostbyname(socket.gethostname())}:{free_port}")
    context = ray.train.get_context()
    cluster = keras_cct.Cluster(address, context.get_world_size(), context.get_world_rank())
    run = Path(settings["run"])
    if (run / "recipe.yml").exists():
        keras_cct.resume(run, cluster=cluster)
    else:
        recipe = keras_cct.load_recipe(settings["config"], data_dir=settings["data"])
        keras_cct.train(recipe, run, cluster=cluster)


def main() -> None:
    """Reads the arguments and starts the workers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("run")
    parser.add_argument("--config", default="cct_14-7x2_imagenet")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--gpu", action="store_true")
    options = parser.parse_args()
    from ray.train import ScalingConfig
    from ray.train.v2.jax import JaxTrainer

    settings = {"data": str(Path(options.data).absolute()), "run": str(Path(options.run).absolute())}
    scaling = ScalingConfig(num_workers=options.workers, use_gpu=options.gpu)
    JaxTrainer(train_on_worker, train_loop_config=settings | {"config": options.config}, scaling_config=scaling).fit()


if __name__ == "__main__":
    main()
