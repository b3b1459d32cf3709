"""`python -m keras_cct`, which equals the command `keras_cct`."""

import sys

from keras_cct.cli import main

if __name__ == "__main__":
    sys.exit(main())
