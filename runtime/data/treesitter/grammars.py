"""The grammars in use, and what their node types mean here: one table, read by the query and by the counts.

Not a grammar: those are the single `tree-sitter-<language>` wheels. Packs of many languages fetch grammars when
used.
"""

from __future__ import annotations

import re

import attrs


@attrs.frozen(kw_only=True)
class Grammar:
    """Where a grammar comes from and what its node types mean here.

    `functions` are definitions that have a name (no lambdas, no callbacks), and with `needs_body` only those
    with a body count; `declarations` are the nodes that `runtime.data.treesitter.declarations` takes apart;
    `asides` are declarations that tell the compiler of a type or a name and do nothing; `markup` is what a
    browser does not show. `docstrings` says that a string standing alone at the head of a body is
    documentation, `any_return` that a return is simple whatever it returns. A node of `calls` whose text
    begins with `prints` prints, one that begins with `import_calls` imports; without one of `call_words` in
    the text, none does.
    """

    module: str
    attribute: str = "language"
    functions: tuple[str, ...] = ()
    needs_body: bool = False
    classes: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    comments: tuple[str, ...] = ("comment",)
    strings: tuple[str, ...] = ()
    returns: tuple[str, ...] = ()
    any_return: bool = False
    declarations: tuple[str, ...] = ()
    passes: tuple[str, ...] = ()
    asides: tuple[str, ...] = ()
    markup: tuple[str, ...] = ()
    docstrings: bool = False
    calls: tuple[str, ...] = ()
    call_words: tuple[bytes, ...] = ()
    prints: re.Pattern[bytes] | None = None
    import_calls: re.Pattern[bytes] | None = None


_CONSOLE_LOG = re.compile(rb"\bconsole\s*\.\s*log\s*\(")
_PRINTF = rb"v?f?w?printf\s*\("

_JAVASCRIPT = Grammar(
    module="tree_sitter_javascript",
    functions=("function_declaration", "generator_function_declaration", "method_definition"),
    classes=("class_declaration",),
    imports=("import_statement",),
    comments=("comment", "html_comment"),
    strings=("string", "template_string"),
    returns=("return_statement",),
    declarations=("variable_declarator", "assignment_expression"),
    calls=("call_expression",),
    call_words=(b"console",),
    prints=_CONSOLE_LOG,
)
_TYPESCRIPT = attrs.evolve(
    _JAVASCRIPT,
    module="tree_sitter_typescript",
    attribute="language_typescript",
    classes=("class_declaration", "abstract_class_declaration"),
    imports=("import_statement", "import_alias"),
    declarations=(*_JAVASCRIPT.declarations, "public_field_definition"),
)
_C = Grammar(
    module="tree_sitter_c",
    functions=("function_definition",),
    imports=("preproc_include",),
    strings=("string_literal", "system_lib_string"),
    returns=("return_statement",),
    declarations=("declaration", "field_declaration"),
    asides=("struct_specifier",),
    calls=("call_expression",),
    call_words=(b"printf",),
    prints=re.compile(rb"\b" + _PRINTF),
)

GRAMMARS: dict[str, Grammar] = {
    "python": Grammar(
        module="tree_sitter_python",
        functions=("function_definition",),
        classes=("class_definition",),
        imports=("import_statement", "import_from_statement", "future_import_statement"),
        strings=("string",),
        returns=("return_statement",),
        any_return=True,
        declarations=("assignment", "for_statement"),
        passes=("pass_statement",),
        docstrings=True,
        calls=("call", "print_statement"),
        call_words=(b"print",),
        prints=re.compile(rb"\bprint\b"),
    ),
    "javascript": _JAVASCRIPT,
    "typescript": _TYPESCRIPT,
    "tsx": attrs.evolve(_TYPESCRIPT, attribute="language_tsx"),
    "c": _C,
    "cpp": attrs.evolve(
        _C,
        module="tree_sitter_cpp",
        needs_body=True,
        classes=("class_specifier",),
        strings=(*_C.strings, "raw_string_literal"),
        asides=(*_C.asides, "using_declaration", "alias_declaration"),
        calls=(*_C.calls, "binary_expression"),
        call_words=(*_C.call_words, b"cout"),
        prints=re.compile(rb"\b(?:std\s*::\s*)?(?:" + _PRINTF + rb"|w?cout\s*<<)"),
    ),
    "csharp": Grammar(
        module="tree_sitter_c_sharp",
        functions=(
            "method_declaration",
            "constructor_declaration",
            "destructor_declaration",
            "operator_declaration",
            "conversion_operator_declaration",
            "local_function_statement",
        ),
        needs_body=True,
        classes=("class_declaration",),
        imports=("using_directive",),
        strings=("string_literal", "verbatim_string_literal", "raw_string_literal", "interpolated_string_expression"),
        returns=("return_statement",),
        any_return=True,
        declarations=("variable_declaration", "property_declaration", "foreach_statement"),
        calls=("invocation_expression",),
        call_words=(b"Console",),
        prints=re.compile(rb"\b(?:System\s*\.\s*)?Console\s*\.\s*Write(?:Line)?\s*\("),
    ),
    "java": Grammar(
        module="tree_sitter_java",
        functions=("method_declaration", "constructor_declaration", "compact_constructor_declaration"),
        needs_body=True,
        classes=("class_declaration",),
        imports=("import_declaration",),
        comments=("line_comment", "block_comment"),
        strings=("string_literal",),
        returns=("return_statement",),
        declarations=(
            "field_declaration",
            "local_variable_declaration",
            "constant_declaration",
            "enhanced_for_statement",
        ),
        calls=("method_invocation",),
        call_words=(b"System",),
        prints=re.compile(rb"\bSystem\s*\.\s*out\s*\.\s*print(?:ln|f)?\s*\("),
    ),
    "go": Grammar(
        module="tree_sitter_go",
        functions=("function_declaration", "method_declaration"),
        classes=("struct_type", "interface_type"),
        imports=("import_declaration",),
        strings=("interpreted_string_literal", "raw_string_literal"),
        returns=("return_statement",),
        any_return=True,
        declarations=("var_spec", "const_spec", "short_var_declaration", "range_clause"),
        calls=("call_expression",),
        call_words=(b"fmt",),
        prints=re.compile(rb"\bfmt\s*\.\s*Print(?:ln|f)?\s*\("),
    ),
    "rust": Grammar(
        module="tree_sitter_rust",
        functions=("function_item",),
        classes=("struct_item", "enum_item", "trait_item", "impl_item"),
        imports=("use_declaration", "extern_crate_declaration"),
        comments=("line_comment", "block_comment"),
        strings=("string_literal", "raw_string_literal"),
        returns=("return_expression",),
        declarations=("let_declaration", "const_item", "static_item"),
        calls=("macro_invocation",),
        call_words=(b"print",),
        prints=re.compile(rb"\be?print(?:ln)?\s*!"),
    ),
    "ruby": Grammar(
        module="tree_sitter_ruby",
        functions=("method", "singleton_method"),
        classes=("class", "module"),
        strings=("string", "string_array", "heredoc_body"),
        returns=("return",),
        declarations=("assignment",),
        calls=("call",),
        call_words=(b"p", b"require", b"load"),
        prints=re.compile(rb"\b(?:puts|printf?|pp?)(?:\s*\(|[ \t]+[^\s=.,)])"),
        import_calls=re.compile(rb"\b(?:require(?:_relative)?|load)\b"),
    ),
    "php": Grammar(
        module="tree_sitter_php",
        attribute="language_php",
        functions=("function_definition", "method_declaration"),
        needs_body=True,
        classes=("class_declaration", "trait_declaration"),
        imports=(
            "namespace_use_declaration",
            "include_expression",
            "include_once_expression",
            "require_expression",
            "require_once_expression",
        ),
        strings=("string", "encapsed_string", "heredoc", "nowdoc_string"),
        returns=("return_statement",),
        declarations=("property_element", "const_element", "assignment_expression"),
        calls=("echo_statement", "print_intrinsic", "function_call_expression"),
        call_words=(b"echo", b"print", b"var_dump"),
        prints=re.compile(rb"\b(?:echo|print)\b|\b(?:v?printf|print_r|var_dump)\s*\("),
    ),
    "shell": Grammar(
        module="tree_sitter_bash",
        functions=("function_definition",),
        strings=("string", "raw_string", "ansi_c_string", "heredoc_body"),
    ),
    "html": Grammar(
        module="tree_sitter_html",
        markup=("start_tag", "end_tag", "self_closing_tag", "erroneous_end_tag", "doctype", "raw_text"),
    ),
    "css": Grammar(
        module="tree_sitter_css",
        imports=("import_statement",),
        comments=("comment", "js_comment"),
        strings=("string_value",),
    ),
}
