"""`python -m linit.logs`, started by PID 1: its socket is descriptor 3, LINIT_LOG_DIR names the folder."""

from __future__ import annotations

import sys

from linit.logs.process import main

sys.exit(main())
