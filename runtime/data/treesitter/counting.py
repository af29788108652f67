"""What one tree says of its text: counts and spans, all from one query.

Nodes are found by their types, in C; what needs a look at a node's parts is decided here, for the found nodes
only. Nodes of calls are asked for only where the text holds a word that prints or imports: most files don't.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs
from tree_sitter import Node, Tree

from runtime.data.treesitter.declarations import DECLARATIONS, Kind, is_simple
from runtime.data.treesitter.grammars import GRAMMARS, Grammar
from runtime.data.treesitter.parsing import GROUPS, MAX_PARSE_BYTES, captures, parse
from runtime.data.treesitter.spans import Span, merge, total

_COUNTED = (*GROUPS, "class", "return", "declaration", "pass", "aside", "markup")

# What may stand between a body and its only statement.
_WRAPPERS = frozenset({"statement_list", "body_statement", "expression_statement"})


@attrs.frozen(kw_only=True)
class Structure:
    """What a tree says of its text. Spans are [start, end) byte offsets, sorted, disjoint.

    `functions` have a name and a body; `simple_functions` are those whose body is one return. `variables` are
    declared or assigned names (Python: parameters too), `simple_variables` those without a value to think
    about, `simple_returns` likewise: see `runtime.data.treesitter.declarations`. `mains` are functions called
    main. `pass_lines`, `print_lines` and `aside_lines` count the lines on which such a statement begins.
    `markup` is what a browser does not show, comments apart.
    """

    functions: int = 0
    simple_functions: int = 0
    mains: int = 0
    classes: int = 0
    variables: int = 0
    simple_variables: int = 0
    simple_returns: int = 0
    pass_lines: int = 0
    print_lines: int = 0
    aside_lines: int = 0
    imports: tuple[Span, ...] = ()
    comments: tuple[Span, ...] = ()
    strings: tuple[Span, ...] = ()
    markup: tuple[Span, ...] = ()
    errors: tuple[Span, ...] = ()
    has_error: bool

    @property
    def comment_bytes(self) -> int:
        """Bytes in comments and docstrings."""
        return total(self.comments)

    @property
    def string_bytes(self) -> int:
        """Bytes in string literals, their quotes included, docstrings not."""
        return total(self.strings)

    @property
    def error_bytes(self) -> int:
        """Bytes under nodes that the parser could not make sense of."""
        return total(self.errors)


def structure(source: bytes, language: str) -> Structure | None:
    r"""Parse `source` and count; None without a grammar or over MAX_PARSE_BYTES.

    >>> found = structure(b"import os\n\ndef f():\n    'Doc.'\n    return '#'  # no\n", "python")
    >>> found.functions, found.imports, found.comment_bytes, found.string_bytes, found.has_error
    (1, ((0, 9),), 10, 3, False)
    >>> structure(b"x", "cobol") is None
    True
    """
    if language not in GRAMMARS or len(source) > MAX_PARSE_BYTES:
        return None
    tree = parse(source, language)
    # A document that used up its budget is one error: being hostile must not let it pass the rules.
    return Structure(errors=((0, len(source)),), has_error=True) if tree is None else _count(source, language, tree)


def _count(source: bytes, language: str, tree: Tree) -> Structure:
    grammar = GRAMMARS[language]
    nodes = captures(tree, language, _groups(source, grammar))
    functions, calls = nodes.get("function", []), nodes.get("call", [])
    own = [(node, node.child_by_field_name("body")) for node in functions]
    if grammar.needs_body:
        own = [(node, body) for node, body in own if body is not None]
    docs = set(_spans(_docstrings(tree, functions))) if grammar.docstrings else set()
    declared = [DECLARATIONS[language](source, node) for node in nodes.get("declaration", ())]
    returns = nodes.get("return", ())
    simple = declared.count(Kind.SIMPLE)
    return Structure(
        functions=len(own) + declared.count(Kind.FUNCTION),
        simple_functions=sum(_is_one_return(body, grammar) for _, body in own),
        mains=sum(_is_main(source, node) for node, _ in own),
        classes=len(nodes.get("class", ())),
        variables=simple + declared.count(Kind.VARIABLE) + (_parameters(own) if language == "python" else 0),
        simple_variables=_class_variables(nodes.get("class", ())) if language == "python" else simple,
        simple_returns=len(returns) if grammar.any_return else sum(map(_is_simple_return, returns)),
        pass_lines=_rows(nodes.get("pass", ())),
        print_lines=_rows(node for node in calls if grammar.prints and grammar.prints.match(source, node.start_byte)),
        aside_lines=_rows(nodes.get("aside", ())),
        imports=_spans((*nodes.get("import", ()), *_import_calls(source, calls, grammar))),
        comments=merge((*_spans(nodes.get("comment", ())), *docs)),
        strings=tuple(span for span in _spans(nodes.get("string", ())) if span not in docs),
        markup=_spans(nodes.get("markup", ())),
        errors=_spans(nodes.get("error", ())),
        has_error=tree.root_node.has_error,
    )


def _groups(source: bytes, grammar: Grammar) -> tuple[str, ...]:
    """The groups to ask for: calls only where a word of the text can make one count."""
    return (*_COUNTED, "call") if any(word in source for word in grammar.call_words) else _COUNTED


def _spans(nodes: Iterable[Node]) -> tuple[Span, ...]:
    return merge(node.byte_range for node in nodes)


def _rows(nodes: Iterable[Node]) -> int:
    """The lines on which nodes begin."""
    return len({node.start_point.row for node in nodes})


def _import_calls(source: bytes, calls: list[Node], grammar: Grammar) -> Iterator[Node]:
    if grammar.import_calls is not None:
        yield from (node for node in calls if grammar.import_calls.match(source, node.start_byte))


# ---------------------------------------------------------------- functions, their parameters and returns


def _is_main(source: bytes, function: Node) -> bool:
    """Whether a C or C++ function is called main."""
    declarator = function.child_by_field_name("declarator")
    name = declarator.child_by_field_name("declarator") if declarator is not None else None
    return name is not None and source[name.start_byte : name.end_byte] == b"main"


def _is_one_return(body: Node | None, grammar: Grammar) -> bool:
    """Whether a body holds one return and nothing else but comments."""
    while body is not None:
        statement = _only_statement(body, grammar)
        if statement is not None and statement.type in grammar.returns:
            return True
        body = statement if statement is not None and statement.type in _WRAPPERS else None
    return False


def _only_statement(body: Node, grammar: Grammar) -> Node | None:
    """The statement that a body is made of, comments apart; None where there are none or several."""
    only = None
    for index in range(body.named_child_count):
        child = body.named_child(index)
        if child is not None and child.type not in grammar.comments:
            if only is not None or child.type not in (*grammar.returns, *_WRAPPERS):
                return None
            only = child
    return only


def _is_simple_return(node: Node) -> bool:
    """Whether a return returns nothing, a name or a literal."""
    if node.named_child_count == 0:
        return True
    value = node.named_child(0)
    if value is not None and value.type == "argument_list" and value.named_child_count == 1:  # Ruby
        value = value.named_child(0)
    return node.named_child_count == 1 and is_simple(value)


def _parameters(functions: list[tuple[Node, Node | None]]) -> int:
    found = (node.child_by_field_name("parameters") for node, _ in functions)
    return sum(parameters.named_child_count for parameters in found if parameters is not None)


# ---------------------------------------------------------------- Python: docstrings and the variables of classes


def docstring_of(body: Node | None) -> Node | None:
    """The string that stands alone at the head of a body, comments skipped, or None."""
    if body is None:
        return None
    for index in range(body.named_child_count):
        first = body.named_child(index)
        if first is None or first.type == "comment":
            continue
        if first.type != "expression_statement" or first.named_child_count != 1:
            return None
        string = first.named_child(0)
        return string if string is not None and string.type == "string" else None
    return None


def _docstrings(tree: Tree, functions: list[Node]) -> Iterator[Node]:
    """Docstrings of the module, of functions and of the classes right under the module."""
    root = tree.root_node
    classes = [child for child in root.named_children if child.type == "class_definition"]
    bodies = [root, *(owner.child_by_field_name("body") for owner in (*classes, *functions))]
    for body in bodies:
        found = docstring_of(body)
        if found is not None:
            yield found


def _class_variables(classes: Iterable[Node]) -> int:
    """Assignments to plain names that stand right in the body of a class."""
    found = 0
    for body in (owner.child_by_field_name("body") for owner in classes):
        for statement in body.named_children if body is not None else ():
            inner = statement.named_child(0) if statement.type == "expression_statement" else None
            left = inner.child_by_field_name("left") if inner is not None and inner.type == "assignment" else None
            found += left is not None and left.type == "identifier"
    return found
