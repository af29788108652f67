"""What a declaration or an assignment is: a variable, a simple one, or a function under another name.

One function a language family, over the nodes that the grammar's table calls declarations. "Simple" is what the
published filter counts as a line without logic, language by language: a declaration without a value (C, C++, C#,
Go, Java), or with a literal or a name for a value (JavaScript; TypeScript, PHP, Ruby and Rust follow it).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from enum import Enum, auto

from tree_sitter import Node

# Values that take no thought: names, literals, and an operator before one of them.
SIMPLE_VALUES = frozenset(
    (
        *("identifier", "variable_name", "constant", "name", "simple_symbol"),
        *("number", "number_literal", "integer", "integer_literal", "int_literal", "negative_literal"),
        *("decimal_integer_literal", "hex_integer_literal", "octal_integer_literal", "binary_integer_literal"),
        *("float", "float_literal", "decimal_floating_point_literal", "real_literal"),
        *("string", "string_literal", "interpreted_string_literal", "raw_string_literal", "encapsed_string"),
        *("char_literal", "character_literal", "boolean", "boolean_literal", "true", "false"),
        *("null", "null_literal", "nil", "none", "undefined"),
        *("unary_expression", "unary_operator", "unary", "unary_op_expression"),
    )
)
_FUNCTIONS = frozenset({"function_expression", "generator_function", "function"})


class Kind(Enum):
    """What a declaration declares."""

    VARIABLE = auto()
    SIMPLE = auto()
    FUNCTION = auto()
    NOTHING = auto()


def _simple(yes: bool) -> Kind:
    return Kind.SIMPLE if yes else Kind.VARIABLE


def is_simple(value: Node | None) -> bool:
    """Whether a value, or the lack of one, takes no thought."""
    return value is None or value.type in SIMPLE_VALUES


def _only(nodes: Iterable[Node]) -> Node | None:
    """The one node there is, or None."""
    found = list(nodes)
    return found[0] if len(found) == 1 else None


def _python(_source: bytes, _node: Node) -> Kind:
    """Which are simple is seen from the class: its plain assignments."""
    return Kind.VARIABLE


_EXPORT = re.compile(rb"module\s*\.\s*exports\s*\.\s*[\w$]+\s*=")


def _script(source: bytes, node: Node) -> Kind:
    """Declarators, and assignments to `module.exports.name`; a function expression counts as a function."""
    side = "right" if node.type == "assignment_expression" else "value"
    exports = side == "right"
    if exports and not _EXPORT.match(source, node.start_byte):
        return Kind.NOTHING
    value = node.child_by_field_name(side)
    if value is not None and (value.type in _FUNCTIONS or (exports and value.type == "arrow_function")):
        return Kind.FUNCTION
    return _simple(is_simple(value))


_BASIC = frozenset({"primitive_type", "sized_type_specifier", "placeholder_type_specifier"})
_NAMES = frozenset({"identifier", "field_identifier"})


def _c(source: bytes, node: Node) -> Kind:
    """One name of a basic type (or std::string) without a value is simple; a prototype declares nothing."""
    declarators = node.children_by_field_name("declarator")
    if not declarators or declarators[0].type == "function_declarator":
        return Kind.NOTHING
    kind = node.child_by_field_name("type")
    if kind is None or len(declarators) > 1 or declarators[0].type not in _NAMES:
        return Kind.VARIABLE
    if node.child_by_field_name("default_value") is not None:  # a member with a value, in C++
        return Kind.VARIABLE
    return _simple(kind.type in _BASIC or source[kind.start_byte : kind.end_byte] == b"std::string")


def _java(_source: bytes, node: Node) -> Kind:
    declarator = _only(node.children_by_field_name("declarator"))
    return _simple(declarator is not None and declarator.child_by_field_name("value") is None)


def _csharp(_source: bytes, node: Node) -> Kind:
    if node.type != "variable_declaration":
        return Kind.VARIABLE
    declarator = _only(child for child in node.named_children if child.type == "variable_declarator")
    kind = node.child_by_field_name("type")
    basic = kind is not None and kind.type == "predefined_type"
    return _simple(basic and declarator is not None and declarator.named_child_count == 1)


def _go(_source: bytes, node: Node) -> Kind:
    if node.type != "var_spec":
        return Kind.VARIABLE
    names = node.children_by_field_name("name")
    return _simple(len(names) == 1 and node.child_by_field_name("value") is None)


def _valued(_source: bytes, node: Node) -> Kind:
    """Declarations with a field `value`."""
    return _simple(is_simple(node.child_by_field_name("value")))


def _ruby(_source: bytes, node: Node) -> Kind:
    return _simple(is_simple(node.child_by_field_name("right")))


def _php(_source: bytes, node: Node) -> Kind:
    if node.type == "property_element":
        return _simple(is_simple(node.child_by_field_name("default_value")))
    if node.type == "const_element":
        return _simple(is_simple(node.named_child(node.named_child_count - 1)))
    value = node.child_by_field_name("right")
    return Kind.FUNCTION if value is not None and value.type == "anonymous_function" else Kind.VARIABLE


def _typescript(source: bytes, node: Node) -> Kind:
    return _valued(source, node) if node.type == "public_field_definition" else _script(source, node)


# By language: source, node -> kind.
DECLARATIONS: dict[str, Callable[[bytes, Node], Kind]] = {
    "python": _python,
    "javascript": _script,
    "typescript": _typescript,
    "tsx": _typescript,
    "c": _c,
    "cpp": _c,
    "java": _java,
    "csharp": _csharp,
    "go": _go,
    "rust": _valued,
    "ruby": _ruby,
    "php": _php,
}
