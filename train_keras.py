"""Runs `keras_cct train`. Without arguments it trains on the bundled sample."""

import sys

from keras_cct.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
