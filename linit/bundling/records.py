"""What are the methods of a dataclass and of a named tuple, written out?

The library makes them when a class is made: by writing source, compiling and running it, at every start. The bundle
has them in its bytecode. They do what the library's do, but that nobody is kept from writing a field of a frozen one
(mypy does that). Source: the documentation of dataclasses and of collections.namedtuple.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Final

UNSET: Final = "_unset"
"""The name, in a module, of what a field with a factory has as its default."""
KNOWN: Final = {"frozen", "slots", "eq", "order", "unsafe_hash"}
WRITTEN_MAX: Final = 8
"""Values of more fields are compared in a loop: their methods would be bytecode that hardly anybody runs."""
SHARED: Final = "_records"
"""The name, in a module, of linit.lean.dataclasses."""
EMPTY: Final = {"dict": "{}", "list": "[]"}
COMPARED: Final = {"__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">="}


class CannotBundle(Exception):
    """Something in a module that the bundle does not know how to say; the text names it."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field as its class says it: source of its default, source of what makes its default, is it an argument."""

    name: str
    default: str = ""
    factory: str = ""
    init: bool = True


def options_of(decorator: ast.expr) -> dict[str, bool] | None:
    """What the class is to be, where the decorator is one of dataclasses; None where it is another."""
    if isinstance(decorator, ast.Name) and decorator.id == "value":
        return {"slots": True, "unsafe_hash": True}
    if isinstance(decorator, ast.Name) and decorator.id == "dataclass":
        return {}
    if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "dataclass":
        options = {word.arg or "": ast.literal_eval(word.value) for word in decorator.keywords}
        if unknown := options.keys() - KNOWN:
            raise CannotBundle(f"dataclass({', '.join(sorted(unknown))})")
        return options
    return None


def expand(node: ast.ClassDef, options: dict[str, bool]) -> None:
    """Turns a decorated class into one that needs no decorator."""
    if node.bases:
        raise CannotBundle(f"{node.name}: a dataclass with a base")
    fields = fields_of(node)
    own = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
    node.body = [each for each in node.body if not isinstance(each, ast.AnnAssign)]
    texts = {"__init__": init_text(fields, "__post_init__" in own), "__repr__": f"__repr__ = {SHARED}.shown"}
    if options.get("eq", True):
        texts["__eq__"] = compare_text("__eq__", "==", fields)
    if options.get("order"):
        texts |= {name: compare_text(name, operator, fields) for name, operator in COMPARED.items()}
    if options.get("unsafe_hash") or (options.get("frozen") and options.get("eq", True)):
        texts["__hash__"] = hash_text(fields)
    lines = [f"__match_args__ = {tuple(each.name for each in fields if each.init)!r}"]
    if options.get("slots"):
        lines.append(f"__slots__ = {tuple(each.name for each in fields)!r}")
    lines += [text for name, text in texts.items() if name not in own]
    node.body += at_line_of(node, "\n".join(lines))


def expand_named_tuple(node: ast.ClassDef) -> None:
    """Turns a class of typing.NamedTuple into a subclass of tuple."""
    fields = fields_of(node)
    node.body = [each for each in node.body if not isinstance(each, ast.AnnAssign)]
    node.bases = [ast.copy_location(ast.Name("tuple", ast.Load()), node)]
    names = [each.name for each in fields]
    lines = [
        "__slots__ = ()",
        f"__match_args__ = _fields = {tuple(names)!r}",
        f"def __new__(cls, {parameters_text(fields)}):\n    return tuple.__new__(cls, ({', '.join(names)},))",
        f"def __repr__(self):\n    return '{node.name}({', '.join(f'{name}=%r' for name in names)})' % tuple(self)",
        "from _collections import _tuplegetter",
        *(f"{name} = _tuplegetter({number}, '')" for number, name in enumerate(names)),
        "del _tuplegetter",
    ]
    node.body += at_line_of(node, "\n".join(lines))


def fields_of(node: ast.ClassDef) -> list[Field]:
    """The annotated names in the body of a class, in their order."""
    found = []
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name):
            if "ClassVar" in ast.unparse(each.annotation) or "InitVar" in ast.unparse(each.annotation):
                raise CannotBundle(f"{node.name}.{each.target.id}: {ast.unparse(each.annotation)}")
            found.append(field_of(each.target.id, each.value))
    return found


def field_of(name: str, value: ast.expr | None) -> Field:
    """A field with what stands behind its annotation."""
    if value is None:
        return Field(name)
    if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "field"):
        return Field(name, default=ast.unparse(value))
    words = {word.arg or "": word.value for word in value.keywords}
    if unknown := words.keys() - {"default", "default_factory", "init"}:
        raise CannotBundle(f"field({', '.join(sorted(unknown))})")
    init = bool(ast.literal_eval(words["init"])) if "init" in words else True
    default = ast.unparse(words["default"]) if "default" in words else ""
    return Field(name, default, factory_text(words.get("default_factory")), init)


def factory_text(factory: ast.expr | None) -> str:
    """The expression that makes a default."""
    if factory is None:
        return ""
    if isinstance(factory, ast.Lambda):
        return ast.unparse(factory.body)
    text = ast.unparse(factory)
    return EMPTY.get(text, f"{text}()")


def init_text(fields: list[Field], has_post_init: bool) -> str:
    """The source of `__init__`."""
    lines = [f"def __init__(self, {parameters_text([each for each in fields if each.init])}):"]
    for each in fields:
        made = each.factory or each.default
        if each.init:
            given = f"{each.factory} if {each.name} is {UNSET} else {each.name}" if each.factory else each.name
            lines.append(f"    self.{each.name} = {given}")
        elif made:
            lines.append(f"    self.{each.name} = {made}")
    lines.append("    self.__post_init__()" if has_post_init else "    return None")
    return "\n".join(lines)


def parameters_text(fields: list[Field]) -> str:
    """The arguments of `__init__`, with their defaults."""
    return ", ".join(
        f"{each.name}={UNSET if each.factory else each.default}" if each.factory or each.default else each.name
        for each in fields
    )


def compare_text(name: str, operator: str, fields: list[Field]) -> str:
    """The source of a comparison with another of the same class, field by field."""
    if operator == "==" and len(fields) > WRITTEN_MAX:
        return f"__eq__ = {SHARED}.is_equal"
    if operator == "==":
        ours = " and ".join(f"self.{each.name} == other.{each.name}" for each in fields) or "True"
    else:
        ours = f"{values_text('self', fields)} {operator} {values_text('other', fields)}"
    return f"def {name}(self, other):\n    return {ours} if type(other) is type(self) else NotImplemented"


def hash_text(fields: list[Field]) -> str:
    """The source of `__hash__`."""
    if len(fields) > WRITTEN_MAX:
        return f"__hash__ = {SHARED}.hashed"
    return f"def __hash__(self):\n    return hash({values_text('self', fields)})"


def values_text(owner: str, fields: list[Field]) -> str:
    """The fields of `owner` as a tuple."""
    return "(" + "".join(f"{owner}.{each.name}, " for each in fields) + ")"


def at_line_of(node: ast.ClassDef, text: str) -> list[ast.stmt]:
    """Statements that a trace shows at the line of the class."""
    body = ast.parse(text).body
    for statement in body:
        for each in ast.walk(statement):
            if hasattr(each, "lineno"):
                ast.copy_location(each, node)
    return body
