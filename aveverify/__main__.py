"""`python -m aveverify`: the command, for where its script is not on the PATH."""

import sys

from aveverify.cli import main

sys.exit(main())
