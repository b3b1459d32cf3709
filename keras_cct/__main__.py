"""`python -m keras_cct`, the same as the command `keras_cct`."""

import sys

from keras_cct.cli import main

sys.exit(main())
