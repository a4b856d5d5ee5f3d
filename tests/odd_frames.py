"""How many odd frames each test sends; `make odd-frames` sends many more."""

import os

COUNT = int(os.environ.get("LOCKSTEP_ODD_FRAMES", "2000"))
