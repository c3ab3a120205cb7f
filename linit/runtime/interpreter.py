"""How is a second program of linit run: the log process, the compiler?

With the same interpreter, deaf to its environment (-I) and without site (-S): in the image there is none, and sys.path
was set by hand; in a venv site has done its work already. So the child is given this process's sys.path.
"""

from __future__ import annotations

import sys
from typing import Final

FALLBACK: Final = "/usr/bin/python3"  # an interpreter that does not know its own path (started with an empty PATH)
FAULT: Final = 70  # EX_SOFTWARE of sysexits.h
BUNDLED: Final = frozenset({"linit.logs.process"})  # programs that may lie in a bundle of their own
BUNDLE: Final = """\
import gc, marshal, posix
gc.disable()
for folder in sys.path:
    try:
        file = posix.open(folder + "/{file}.bundle", posix.O_RDONLY | posix.O_CLOEXEC)
        _, version, size = posix.read(file, 64).split()
        if int(version, 16) == sys.hexversion:
            loader, *parts = marshal.loads(posix.read(file, int(size)))
            names = {{"__name__": "linit.lean.bundle"}}
            exec(loader, names)
            names["load"](file, 64 + int(size), *parts)
            del loader, parts
            names["close"]()
            break
        posix.close(file)
    except Exception:
        continue
gc.enable()
"""
"""As the launcher of PID 1 does it: linit/bundling/README.md. Where there is none, the modules lie there one by one."""
BOOTSTRAP: Final = """\
import sys
sys.path[:] = {path!r}
sys.argv[0] = {module!r}
{bundle}try:
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
    bundle = BUNDLE.format(file=module.replace(".", "/")) if module in BUNDLED else ""
    bootstrap = BOOTSTRAP.format(path=sys.path, module=module, bundle=bundle)
    flags = ["-I", "-S"]
    if sys.flags.dont_write_bytecode:
        flags.append("-B")
    return (sys.executable or FALLBACK, *flags, "-c", bootstrap, *arguments)
