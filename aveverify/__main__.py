"""`python -m aveverify`: the command, where its script is not on the path."""

import sys

from aveverify.cli import main

sys.exit(main())
