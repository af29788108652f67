"""The names of languages, so that a spec's can be checked without loading the tables by which the runtime tells them.

Those of GitHub Linguist in lower case, as `runtime/data/languages.json` has them; a test holds the two together.
"""

from __future__ import annotations

_NAMES = """
1c enterprise; 2-dimensional array; 4d; abap; abap cds; abnf; actionscript; ada; adblock filter list; adobe font
metrics; agda; ags script; aidl; aiken; al; aleo; algol; alloy; alpine abuild; altium designer; ampl; angelscript;
answer set programming; ant build system; antlers; antlr; apacheconf; apex; api blueprint; apl; apollo guidance
computer; applescript; arc; asciidoc; asl; asn.1; asp.net; aspectj; assembly; astro; asymptote; ats; augeas;
autohotkey; autoit; avro idl; awk; b; b (formal method); b4x; ballerina; baml; basic; batchfile; bbcode; beef;
befunge; berry; bibtex; bibtex style; bicep; bikeshed; bird2; bison; bitbake; blade; blitzbasic; blitzmax;
blueprint; bluespec; bluespec bh; boo; boogie; bqn; brainfuck; brighterscript; brightscript; browserslist; bru;
buildstream; c; c-objdump; c2hs haskell; c3; cabal config; caddyfile; cadence; cairo; cairo zero; cameligo; cangjie;
cap cds; cap'n proto; carbon; cartocss; ceylon; chapel; charity; checksums; chuck; cil; circom; cirru; clarion;
clarity; classic asp; clean; click; clips; clojure; closure templates; cloud firestore security rules; clue; cmake;
cobol; codeowners; codeql; coffeescript; coldfusion; coldfusion cfc; collada; common lisp; common workflow language;
component pascal; conll-u; cooklang; cool; cpp; cpp-objdump; cql; creole; crontab; crystal; csharp; cson; csound;
csound document; csound score; css; csv; cuda; cue; cue sheet; curl config; curry; cweb; cycript; cylc; cypher;
cython; d; d-objdump; d2; dafny; darcs patch; dart; daslang; dataweave; debian package control file; denizenscript;
desktop; dhall; diff; digital command language; dircolors; directx 3d file; dm; dns zone; dockerfile; dogescript;
dotenv; dtrace; dune; dylan; e; e-mail; eagle; earthly; easybuild; ebnf; ec; ecere projects; ecl; eclipse; ecmarkup;
edge; edgeql; editorconfig; edje data collection; edn; eiffel; ejs; elixir; elm; elvish; elvish transcript; emacs
lisp; emberscript; eq; erlang; euphoria; f#; f*; factor; fancy; fantom; faust; fennel; figlet font; filebench wml;
filterscript; firrtl; fish; flatbuffers; flix; fluent; flux; formatted; forth; fortran; fortran free form; fpp;
freebasic; freemarker; frege; futhark; g-code; game maker language; gaml; gams; gap; gcc machine description; gdb;
gdscript; gdshader; gedcom; gemfile.lock; gemini; genero 4gl; genero per; genie; genshi; gentoo ebuild; gentoo
eclass; gerber image; gettext catalog; gherkin; git attributes; git commit; git config; git revision list; gleam;
glimmer js; glimmer ts; glsl; glyph; glyph bitmap distribution format; gn; gno; gnuplot; go; go checksums; go
module; go template; go workspace; godot resource; golo; gosu; grace; gradle; gradle kotlin dsl; grammatical
framework; graph modeling language; graphql; graphviz (dot); groovy; groovy server pages; gsc; gtkrc; hack; haml;
handlebars; haproxy; harbour; hare; haskell; haxe; hcl; hip; hiveql; hlsl; hocon; holyc; hoon; hosts file; html;
html+ecr; html+eex; html+erb; html+php; html+razor; http; hurl; hxml; hy; hyphy; icalendar; idl; idris; ignore list;
igor pro; il assembly; imagej macro; imba; imhex pattern language; inform 7; ini; ink; inno setup; io; ioke; irc
log; isabelle; isabelle root; ispc; j; jac; jai; janet; jar manifest; jasmin; jass; java; java properties; java
server pages; java template engine; javascript; javascript+erb; jcl; jest snapshot; jetbrains mps; jflex; jinja;
jison; jison lex; jolie; jq; json; json with comments; json5; jsoniq; jsonld; jsonnet; julia; julia repl; jupyter
notebook; just; kaitai struct; kakounescript; kcl; kdl; kerboscript; kframework; kicad layout; kicad legacy layout;
kicad schematic; kickstart; kit; koka; kolmafia ash; kotlin; krl; kusto; kvlang; labview; lambdapi; langium; lark;
lasso; latte; lean; lean 4; leo; less; lex; lfe; ligolang; lilypond; limbo; linear programming; linker script; linux
kernel module; liquid; liquidsoap; literate agda; literate coffeescript; literate haskell; livecode script;
livescript; llvm; lobster; logos; logtalk; lolcode; lookml; loomscript; lsl; ltspice symbol; lua; luau; m; m3u; m4;
m4sugar; macaulay2; makefile; mako; markdown; marko; mask; mathematical programming system; matlab; maven pom; max;
maxscript; mcfunction; mdsvex; mdx; mercury; mermaid; meson; metal; metta; microsoft developer studio project;
microsoft visual studio solution; minid; miniscript; miniyaml; minizinc; minizinc data; mint; mirah; mirc script;
mlir; modelica; modula-2; modula-3; module management system; mojo; monkey; monkey c; moocode; moonbit; moonscript;
motoko; motorola 68k assembly; move; mql4; mql5; mtml; muf; mupad; muse; mustache; myghty; nanorc; nasal; nasl; ncl;
nearley; nemerle; neon; nesc; netlinx; netlinx+erb; netlogo; newlisp; nextflow; nginx; nickel; nim; ninja; nit; nix;
nl; nmodl; noir; npm config; nsis; nu; numpy; nunjucks; nushell; nwscript; oasv2-json; oasv2-yaml; oasv3-json;
oasv3-yaml; oberon; objdump; object data instance notation; objective-c; objective-c++; objective-j; objectscript;
ocaml; odin; omgrofl; omnet++ msg; omnet++ ned; ooc; opa; opal; open policy agent; openapi specification v2; openapi
specification v3; opencl; openedge abl; openqasm; openrc runscript; openscad; openstep property list; opentype
feature file; option list; org; overpassql; overpy; ox; oxygene; oz; p4; pact; pan; papyrus; parrot; parrot
assembly; parrot internal representation; pascal; pawn; pddl; peg.js; pep8; perl; php; pic; pickle; picolisp;
piglatin; pike; pip requirements; pkg-config; pkl; plantuml; plpgsql; plsql; pod; pod 6; pogoscript; polar; pony;
portugol; postcss; postscript; pov-ray sdl; power query; powerbuilder; powershell; praat; prisma; pro*c; processing;
procfile; proguard; prolog; promela; propeller spin; protocol buffer; protocol buffer text format; public key; pug;
puppet; pure data; purebasic; purescript; pyret; python; python console; python traceback; q; q#; qmake; qml; qt
script; quake; quakec; quickbasic; quint; r; racket; ragel; raku; raml; rascal; rascript; raw token data; rbs; rdoc;
readline config; realbasic; reason; reasonligo; rebol; record jar; red; redcode; redirect rules; redscript; regular
expression; ren'py; renderscript; rescript; restructuredtext; rexx; rez; rich text format; ring; riot; rmarkdown;
robotframework; robots exclusion rules; roc; rocq prover; roff; roff manpage; ron; ros interface; rouge; routeros
script; rpc; rpgle; rpm spec; ruby; runoff; rust; sage; sail; salt; sas; sass; scala; scaml; scenic; scheme; scilab;
scss; sed; self; selinux policy; shaderlab; shell; shellcheck config; shellsession; shen; sieve; simple file
verification; singularity; slang; slash; slice; slim; slint; smali; smalltalk; smarty; smithy; smpl; smt; snakemake;
solidity; soong; sourcepawn; sparql; spicedb schema; spline font database; sqf; sql; sqlpl; squirrel; srecode
template; ssh config; stan; standard ml; star; starlark; stata; stl; ston; stringtemplate; stylus; subrip text;
sugarss; supercollider; surrealql; survex data; svelte; svg; sway; sweave; swift; swig; systemverilog; tact; talon;
tape; tcl; tcsh; tea; teal; templ; terra; terraform template; tex; texinfo; text; textgrid; textile; textmate
properties; thrift; ti program; tl-verilog; tla; tmdl; toit; tolk; toml; tor config; tree-sitter query; tsplib data;
tsql; tsv; tsx; turing; turtle; twig; txl; type language; typescript; typespec; typst; ucode; unified parallel c;
unity3d asset; unix assembly; uno; unrealscript; untyped plutus core; urweb; v; vala; valve data format; vba;
vbscript; vcard; vcl; velocity template language; vento; verilog; verse; vhdl; vim help file; vim script; vim
snippet; visual basic .net; visual basic 6.0; volt; vue; vyper; wavefront material; wavefront object; wdl; web
ontology language; webassembly; webassembly interface type; webidl; webvtt; wget config; wgsl; whiley; wikitext;
win32 message file; windows registry entries; wisp; witcher script; wolfram language; wollok; world of warcraft
addon data; wren; x bitmap; x font directory index; x pixmap; x10; xbase; xc; xcompose; xmake; xml; xml property
list; xojo; xonsh; xpages; xproc; xquery; xs; xslt; xtend; yacc; yaml; yang; yara; yasnippet; yul; zap; zeek;
zenscript; zephir; zig; zil; zimpl; zmodel
"""

LANGUAGES = frozenset(" ".join(_NAMES.split()).split("; "))
