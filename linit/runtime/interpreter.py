"""How is a second program of linit run: the log process, the compiler?

With the same interpreter, deaf to its environment (-I) and without site (-S): in the image there is none, and sys.path
was set by hand; in a venv site has done its work already. So the child is given this process's sys.path.
"""

from __future__ import annotations

import sys
from typing import Final

FALLBACK: Final = "/usr/bin/python3"  # an interpreter that does not know its own path (started with an empty PATH)
FAULT: Final = 70  # EX_SOFTWARE of sysexits.h
BOOTSTRAP: Final = """\
import sys
sys.path[:] = {path!r}
sys.argv[0] = {module!r}
try:
    from {module} import main
    status = main()
except Exception:
    import traceback
    traceback.print_exc()
    status = 70
sys.exit(status)
"""


def command(module: str, *arguments: str) -> tuple[str, ...]:
    """The argv that runs the function `main` of a module of linit, which sees `arguments` in sys.argv[1:].

    The exit status is what `main` returns, as of sys.exit; an exception ends it with FAULT, as 1 has a meaning.
    """
    bootstrap = BOOTSTRAP.format(path=sys.path, module=module)
    flags = ["-I", "-S"]
    if sys.flags.dont_write_bytecode:
        flags.append("-B")
    return (sys.executable or FALLBACK, *flags, "-c", bootstrap, *arguments)
