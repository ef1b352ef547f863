"""``python -m twostamp`` is the command ``twostamp``."""

import sys

from twostamp.cli import main

sys.exit(main())
