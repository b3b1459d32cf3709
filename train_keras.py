"""Equals `keras_cct train`, which trains on the bundled sample by default."""

import sys

from keras_cct.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
