"""YAML in, definitions and faults out. `read(paths, root)` is the way in; `document` reads YAML, `keys` is the table of
keys, `values` their readers, `definition` makes a Service, `tree` reads a machine's files together."""

from linit.definitions.generated import Generated
from linit.definitions.tree import Definitions, errors_in, read, read_paths

__all__ = ["Definitions", "Generated", "errors_in", "read", "read_paths"]
