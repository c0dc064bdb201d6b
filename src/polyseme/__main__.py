"""`python -m polyseme` is `polyseme`."""

import sys

from polyseme.cli import main

if __name__ == "__main__":  # not again in the processes that share its work
    sys.exit(main())
