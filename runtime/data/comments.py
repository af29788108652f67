"""How each language writes comments: the markers of line comments and of block comments.

Not a lexer: it does not say where a comment is, only what one begins and ends with. Two tables in Linguist's
names: comments.json, what the lexers of Pygments take for a comment (scripts/make_comments.py), and the one
here, written by hand, which goes before it: languages that Pygments has no lexer for, and those for which the
probe gave too much (`*` is an operator too) or too little. Formats without comments, JSON above all, are in
neither.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

import attrs


@attrs.frozen
class CommentSyntax:
    """Markers of line comments, and opening and closing markers of block comments."""

    line: tuple[str, ...] = ()
    block: tuple[tuple[str, str], ...] = ()


_C_BLOCK = ("/*", "*/")
_XML_BLOCK = ("<!--", "-->")
_ML_BLOCK = ("(*", "*)")
_LISP_BLOCK = ("#|", "|#")

_STYLES: tuple[tuple[CommentSyntax, str], ...] = (
    (
        CommentSyntax(("//",), (_C_BLOCK,)),
        "c cpp csharp java javascript typescript tsx go rust swift kotlin scala dart groovy objective-c "
        "objective-c++ solidity cuda opencl glsl hlsl verilog systemverilog scss less actionscript sass stylus "
        "json5 protocol|buffer gradle gradle|kotlin|dsl haxe vala json|with|comments apex avro|idl aidl angelscript "
        "ballerina bicep c3 cadence cairo cap|cds chuck circom cool cycript dafny dtrace faust flatbuffers flix "
        "filterscript game|maker|language gdshader gno gsc hack holyc imagej|macro ink ispc jai jflex jison "
        "jison|lex jolie just kit kolmafia|ash lex metal monkey|c moonbit motoko move mirc|script nasl nextflow "
        "nwscript oxygene p4 pkl postcss prisma processing pro*c qt|script quakec renderscript rescript "
        "reasonligo cameligo ring shaderlab slang slice slint sqf squirrel swig typespec unified|parallel|c uno "
        "unrealscript verse witcher|script wollok xc yacc bison yul zenscript cue d2 bluespec brightscript al "
        "linker|script microsoft|developer|studio|project daslang ags|script ecere|projects eq euphoria fpp "
        "glimmer|js glimmer|ts harbour imhex|pattern|language kframework langium lobster omnet++|msg omnet++|ned "
        "openqasm polar q# quint rascal redscript regular|expression sail tolk aleo baml "
        "cangjie jac pogoscript supercollider go|module go|workspace cloud|firestore|security|rules kerboscript "
        "1c|enterprise rouge pov-ray|sdl java|template|engine",
    ),
    (
        CommentSyntax(("#",)),
        "python shell perl r yaml toml makefile cmake dockerfile elixir awk starlark "
        "crystal graphql fish gnuplot meson ninja bitbake rpm|spec alpine|abuild aiken buildstream codeowners "
        "cue|sheet "
        "curl|config cylc dircolors dotenv earthly easybuild editorconfig elvish flux gdb gemfile.lock gemini "
        "gentoo|ebuild gentoo|eclass git|attributes git|commit gn gtkrc haproxy hosts|file ignore|list "
        "java|properties jq kickstart miniyaml nanorc nickel npm|config nu nushell openrc|runscript option|list "
        "pip|requirements pkg-config proguard pyret qmake readline|config redirect|rules ren'py robots|exclusion|rules "
        "routeros|script selinux|policy snakemake ssh|config scenic shellcheck|config talon terraform|template "
        "tor|config wget|config xcompose xonsh crontab cson emberscript kvlang liquidsoap noir "
        "open|policy|agent browserslist genie gdscript parrot|assembly parrot|internal|representation rbs "
        "stringtemplate wavefront|object wavefront|material web|ontology|language yasnippet "
        "openapi|specification|v2 openapi|specification|v3 oasv2-yaml oasv3-yaml common|workflow|language "
        "b4x raml lookml spicedb|schema vim|snippet",
    ),
    (CommentSyntax(("#",), (("=begin", "=end"),)), "ruby"),
    (CommentSyntax(("#",), (("#=", "=#"),)), "julia"),
    (CommentSyntax(("#",), (("###", "###"),)), "coffeescript"),
    (CommentSyntax(("#",), (("#[", "]#"),)), "nim"),
    (CommentSyntax(("#",), (("<#", "#>"),)), "powershell"),
    (CommentSyntax(("#",), (_C_BLOCK,)), "nix puppet"),
    (CommentSyntax(("//", "#"), (_C_BLOCK,)), "php hcl thrift"),
    (CommentSyntax(("//", "#")), "hocon neon"),
    (CommentSyntax(("//",), (_C_BLOCK, ("/+", "+/"))), "d"),
    (CommentSyntax(("//",)), "zig gleam wgsl pug haml roc toit asl cairo|zero webassembly|interface|type"),
    (CommentSyntax((), (_C_BLOCK,)), "css cartocss sugarss jest|snapshot rez x|bitmap x|pixmap edje|data|collection"),
    (
        CommentSyntax((), (_XML_BLOCK,)),
        "html xml svg vue svelte markdown html+erb html+php html+ecr html+eex html+razor rmarkdown mdx astro "
        "ant|build|system maven|pom xml|property|list collada ecmarkup eagle xpages xproc mdsvex rdoc xslt "
        "api|blueprint bikeshed mtml tree-sitter|query riot marko antlers",
    ),
    (CommentSyntax((), (("<!--", "-->"), ("<%--", "--%>"))), "java|server|pages asp.net groovy|server|pages"),
    (CommentSyntax((), (("<!--", "-->"), ("<%#", "%>"))), "ejs"),
    (CommentSyntax((), (("{{!--", "--}}"), ("{{!", "}}"), _XML_BLOCK)), "handlebars mustache"),
    (CommentSyntax((), (("{{--", "--}}"), _XML_BLOCK)), "blade edge"),
    (CommentSyntax((), (("{#", "#}"), _XML_BLOCK)), "jinja twig nunjucks volt vento"),
    (CommentSyntax((), (("{*", "*}"), _XML_BLOCK)), "smarty latte"),
    (CommentSyntax((), (("<#--", "-->"), _XML_BLOCK)), "freemarker"),
    (CommentSyntax(("##",), (("#*", "*#"),)), "velocity|template|language"),
    (CommentSyntax((), (("<!---", "--->"),)), "coldfusion"),
    (CommentSyntax(("--",), (_C_BLOCK,)), "sql plsql plpgsql tsql hiveql sqlpl cql edgeql surrealql"),
    (CommentSyntax(("--",), (("--[[", "]]"),)), "lua luau terra xmake"),
    (CommentSyntax(("--",), (("{-", "-}"),)), "haskell elm purescript agda dhall curry frege c2hs|haskell"),
    (CommentSyntax(("--",)), "ada vhdl mint maxscript livecode|script bluespec|bh"),
    (CommentSyntax(("--",), (_ML_BLOCK,)), "applescript"),
    (CommentSyntax((), (_ML_BLOCK,)), "ocaml standard|ml modula-3 oberon wolfram|language f* isabelle|root"),
    (CommentSyntax(("//",), (_ML_BLOCK,)), "f# ligolang ats"),
    (CommentSyntax(("//",), (("{", "}"), _ML_BLOCK)), "pascal"),
    (CommentSyntax((), (_ML_BLOCK,)), "modula-2"),
    (CommentSyntax(("%",)), "tex erlang matlab bibtex bibtex|style minizinc minizinc|data mercury oz"),
    (CommentSyntax(("%",), (_C_BLOCK,)), "prolog"),
    (CommentSyntax(("%",)), "answer|set|programming sweave turing muf"),
    (CommentSyntax((";",), (_LISP_BLOCK,)), "common|lisp scheme racket"),
    (
        CommentSyntax((";",)),
        "clojure emacs|lisp llvm edn autoit fennel hy motorola|68k|assembly "
        "apollo|guidance|computer clarity clips dune kicad|schematic lfe netlogo picolisp smt wisp pact "
        "papyrus inno|setup windows|registry|entries firrtl purebasic ltspice|symbol dns|zone zil",
    ),
    (CommentSyntax((";", "//"), (_C_BLOCK,)), "assembly"),
    (CommentSyntax(("#", "//"), (_C_BLOCK,)), "unix|assembly"),
    (CommentSyntax((";;",), (("(;", ";)"),)), "webassembly"),
    (CommentSyntax((";", "#")), "ini git|config cabal|config quake"),
    (CommentSyntax(("!",)), "fortran fortran|free|form digital|command|language hip"),
    (CommentSyntax(('"',)), "vim|script abap"),
    (CommentSyntax(("'",)), "visual|basic|.net vba visual|basic|6.0 freebasic quickbasic realbasic xojo plantuml"),
    (CommentSyntax(("'", "REM ")), "classic|asp basic"),
    (CommentSyntax(("'",)), "brighterscript propeller|spin"),
    (CommentSyntax(("rem ", "REM ", "Rem ", "@rem ", "@REM ", "::")), "batchfile"),
    (CommentSyntax(("dnl ",)), "m4 m4sugar"),
    (CommentSyntax(('.\\"', "'\\\"")), "roff roff|manpage"),
    (CommentSyntax(("@c ", "@comment ")), "texinfo"),
    (CommentSyntax(("//",), (("////", "////"),)), "asciidoc"),
    (CommentSyntax(("\\*",), (("(*", "*)"),)), "tla"),
    (CommentSyntax(("%%",)), "mermaid"),
    (CommentSyntax(("**FREE", "//")), "rpgle"),
    (CommentSyntax(("--",)), "tl-verilog"),
)

# Where a marker of comments.json is an operator elsewhere in the language, or the format has no comments at all.
_DISTRUSTED_MARKERS = frozenset({"*", "|", "@", "\\ "})
_WITHOUT_COMMENTS = frozenset({"json", "jsonld", "text", "c-objdump", "cpp-objdump", "d-objdump", "csound document"})


@cache
def _table() -> dict[str, CommentSyntax]:
    """Both tables; the one written by hand goes first."""
    generated = json.loads(files(__package__).joinpath("comments.json").read_text(encoding="utf-8"))["languages"]
    table = {
        language: CommentSyntax(
            tuple(marker for marker in markers["line"] if marker not in _DISTRUSTED_MARKERS),
            tuple((opening, closing) for opening, closing in markers["block"]),
        )
        for language, markers in generated.items()
        if language not in _WITHOUT_COMMENTS
    }
    for syntax, languages in _STYLES:
        table.update({language.replace("|", " "): syntax for language in languages.split()})
    return {language: syntax for language, syntax in table.items() if syntax.line or syntax.block}


def comment_syntax(language: str | None) -> CommentSyntax | None:
    """How `language` writes comments, or None where neither table says.

    >>> comment_syntax("lua")
    CommentSyntax(line=('--',), block=(('--[[', ']]'),))
    >>> comment_syntax("json") is None
    True
    """
    return _table().get(language or "")


def commented_languages() -> list[str]:
    """The languages whose comment syntax is known, sorted."""
    return sorted(_table())
