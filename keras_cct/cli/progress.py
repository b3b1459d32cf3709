"""A progress bar for commands that process many images."""

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def image_progress(num_images: int, description: str) -> Iterator[Callable[[int], object]]:
    """Shows a progress bar on standard error if it is a terminal.

    Args:
        num_images: Number of images.
        description: What is done with them, one word.

    Yields:
        A function to call with the number of images of each batch.
    """
    from tqdm import tqdm

    with tqdm(total=num_images, desc=description, unit=" images", disable=None, leave=False) as bar:
        yield bar.update
