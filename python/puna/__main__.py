"""`python -m puna`: the command `puna`."""

import sys

from puna.cli import main

sys.exit(main())
