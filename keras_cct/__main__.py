"""Entry point of `python -m keras_cct`, equivalent to the `keras_cct` command."""

import sys

from keras_cct.cli import main

if __name__ == "__main__":
    sys.exit(main())
