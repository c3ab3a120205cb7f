"""`python -m linitctl`."""

import sys

from linitctl.main import main

sys.exit(main())
