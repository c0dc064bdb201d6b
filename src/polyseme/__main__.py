"""`python -m polyseme` is `polyseme`."""

import sys

from polyseme.cli import main

sys.exit(main())
