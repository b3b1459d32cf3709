"""Sends an image to the server of server.py with KServe's clients, through REST v1, REST v2 and gRPC.

Run it as `python examples/serving/client.py examples/images/sneaker.png --model_name clothes`.
"""

import argparse
import asyncio
import base64
from pathlib import Path

import numpy as np
from kserve import InferInput, InferRequest
from kserve.inference_client import InferenceGRPCClient, InferenceRESTClient, RESTConfig


async def main() -> None:
    """Prints the most probable class, once for each protocol."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("image", help="PNG or JPEG file")
    parser.add_argument("--model_name", default="model")
    parser.add_argument("--url", default="http://localhost:8080")
    parser.add_argument("--grpc_url", default="localhost:8081")
    options = parser.parse_args()
    content, name = Path(options.image).read_bytes(), options.model_name

    base64_text = base64.b64encode(content).decode()
    instances = {"instances": [{"b64": base64_text}]}
    client = InferenceRESTClient(RESTConfig(protocol="v1"))
    (classes,) = (await client.infer(options.url, instances, model_name=name))["predictions"]
    best = max(classes, key=classes.get)
    print(f"REST v1: {best}, {100 * classes[best]:.2f} %")

    rest, grpc = InferenceRESTClient(RESTConfig(protocol="v2")), InferenceGRPCClient(options.grpc_url)
    text = InferInput("image_bytes", [1], "BYTES", [base64_text])
    raw = InferInput("image_bytes", [1], "BYTES")
    raw.set_data_from_numpy(np.array([content], dtype=object))
    for protocol, response in (
        ("REST v2", await rest.infer(options.url, InferRequest(name, [text]), model_name=name)),
        ("gRPC", await grpc.infer(InferRequest(name, [raw]))),
    ):
        probabilities = response.get_output_by_name("probabilities").as_numpy()
        (best,) = response.get_output_by_name("class").as_numpy()
        best = best.decode() if isinstance(best, bytes) else best
        print(f"{protocol}: {best}, {100 * probabilities.max():.2f} %")


if __name__ == "__main__":
    asyncio.run(main())
