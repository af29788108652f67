"""Take copyright notices and personal data out of a document, leaving the document.

Not a secret scanner: it knows well-formed cases (an e-mail address, an address with a port, a key block, a
password written as a literal) and lets odd ones pass rather than damage code. What the standards reserve for
documentation (example.com, 192.0.2.0/24) is nobody's and stays. The placeholders are in the style of
OpenCoder (arXiv 2411.04905, section 2.1: `<name>`, `<password>`), whose own patterns were never published.

Every pattern has bounded repetitions and a fixed first character, so that a hostile document costs time
linear in its length.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable

import attrs

from runtime.data.languages import CommentSyntax, comment_syntax


@attrs.frozen
class Redacted:
    """A cleaned text, and how many pieces of each kind that occurred were taken out."""

    text: str
    counts: dict[str, int]


# Taking out a notice can turn what follows into the head of the file; real files take two rounds.
_MAX_ROUNDS = 10


def redact(text: str, language: str | None, *, copyright: bool = True, pii: bool = True) -> Redacted:
    r"""Remove head comments that state copyright or licence; replace personal data by placeholders.

    Applying it again changes nothing.

    >>> redact("# Copyright 2020 Jo\n\nmail = 'jo@site.org'\n", "python")
    Redacted(text="mail = '<email>'\n", counts={'copyright': 1, 'email': 1})
    """
    counts: Counter[str] = Counter()
    for _ in range(_MAX_ROUNDS):
        before = text
        if copyright:
            text = _without_notices(text, language, counts)
        if pii:
            text = _without_personal_data(text, counts)
        if text == before:
            break
    return Redacted(text, dict(counts))


# ---------------------------------------------------------------- copyright notices

# One line at a time, so that taking out a line never makes a phrase of its neighbours.
_NOTICE = re.compile(
    r"copyright|\(c\)[ \t]{0,4}(?:19|20)\d\d|©|all rights reserved|spdx-license-identifier"
    r"|licen[sc]ed (?:under|to)|permission is hereby granted|redistribution and use in source"
    r"|(?:apache|mit|bsd|isc|mozilla public|eclipse public|boost software|general public)[ \t]{1,4}licen[sc]e"
    r"|without warrant|under the terms of the",
    re.IGNORECASE,
)

# Lines that tools read: they stay when the comment around them goes.
_DIRECTIVE = re.compile(
    r"#!|//go:|// ?\+build|/// ?<reference|(?:#|//|;)[ \t]{0,4}(?:-\*-|.{0,20}coding[:=]|vim?:|type:|pragma"
    r"|pylint:|flake8:|noqa|mypy:|ruff:|eslint|@ts-|@flow|syntax[ \t]{0,2}=|frozen_string_literal"
    r"|warn_indent|shellcheck|cython:|distutils:|cgo|\$schema)",
    re.IGNORECASE,
)

# What may stand before the head comment: it stays.
_PREAMBLE = re.compile(
    r"\ufeff|\A#![^\n]{0,400}|<\?php\b|<\?xml[^>\n]{0,200}\?>|<!doctype[^>\n]{0,200}>|[ \t\r\n\f\v]+",
    re.IGNORECASE,
)
_INDENT = re.compile(r"[ \t]{0,200}")
_BLANK_LINES = re.compile(r"(?:[ \t]{0,200}\r?\n){0,200}")
_DOC_COMMENT = re.compile(r"//(?:!|/(?!/))")


def _without_notices(text: str, language: str | None, counts: Counter[str]) -> str:
    """The text without the comments before its first code that state copyright or licence."""
    syntax = comment_syntax(language)
    if syntax is None:
        return text
    kept: list[str] = []
    position = 0
    while position < len(text):
        end = _comment_end(text, position, syntax)
        if end is not None and _NOTICE.search(text, position, end):
            if text.startswith(syntax.line, position):
                kept += _directives(text[position:end])
            position = _end(_BLANK_LINES, text, end)  # they would be left behind at the top
            counts["copyright"] += 1
            continue
        if end is None:
            blank = _PREAMBLE.match(text, position)
            if blank is None:
                break
            end = blank.end()
        kept.append(text[position:end])
        position = end
    return "".join((*kept, text[position:]))


def _comment_end(text: str, start: int, syntax: CommentSyntax) -> int | None:
    """Where the comment that starts here ends, or None where none starts.

    Line comments on neighbouring lines are one comment, but documentation (`///`, `//!`) is apart from
    others.
    """
    for opening, closing in syntax.block:
        if text.startswith(opening, start):
            end = text.find(closing, start + len(opening))
            return None if end == -1 else end + len(closing)
    position = mark = start
    documentation = _DOC_COMMENT.match(text, start) is not None
    while text.startswith(syntax.line, mark) and (_DOC_COMMENT.match(text, mark) is not None) == documentation:
        newline = text.find("\n", mark)
        if newline == -1:
            return len(text)
        position = newline + 1
        mark = _end(_INDENT, text, position)
    return position if position > start else None


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    """Where a pattern that matches everywhere, if only nothing, ends its match at `position`."""
    match = pattern.match(text, position)
    assert match is not None
    return match.end()


def _directives(comment: str) -> list[str]:
    """The lines of a removed comment that tools read."""
    return [line for line in comment.splitlines(keepends=True) if _DIRECTIVE.match(line.lstrip())]


# ---------------------------------------------------------------- personal data

Accept = Callable[[re.Match[str]], bool]


def _always(_match: re.Match[str]) -> bool:
    return True


@attrs.frozen
class _Detector:
    """The group `value` of each match that `accept` confirms is replaced by `<kind>`.

    A text without any of the `hints` is not searched; they are in lower case where the pattern ignores it.
    """

    kind: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    accept: Accept = _always


def _without_personal_data(text: str, counts: Counter[str]) -> str:
    """The text with a placeholder for everything that a detector finds."""
    lower = text.lower()
    for detector in _DETECTORS:
        searched = lower if detector.pattern.flags & re.IGNORECASE else text
        if any(hint in searched for hint in detector.hints):
            text = _replace(detector, text, counts)
    return text


def _replace(detector: _Detector, text: str, counts: Counter[str]) -> str:
    pieces: list[str] = []
    position = 0
    for match in detector.pattern.finditer(text):
        if detector.accept(match):
            pieces += (text[position : match.start("value")], f"<{detector.kind}>")
            position = match.end("value")
            counts[detector.kind] += 1
    return "".join((*pieces, text[position:])) if pieces else text


# Keys. `{m,n}+` never gives back what it took: a failed match costs one pass.

_PEM = re.compile(
    r"(?P<value>-----BEGIN [A-Z0-9 ]{0,40}+(?:(?<=PRIVATE KEY)|(?<=PRIVATE KEY BLOCK))-----"
    r"(?P<body>(?:\s{0,4}[A-Za-z-]{1,20}: [^\n]{0,100}\n){0,5}[A-Za-z0-9+/=\s\"'\\,:;.()*#|>]{64,40000}+)"
    r"-----END [A-Z0-9 ]{0,50}-----)"
)
_BASE64_RUN = re.compile(r"[A-Za-z0-9+/]{40}")


def _is_key_block(match: re.Match[str]) -> bool:
    """Code that names both markers has no base64 between them."""
    return _BASE64_RUN.search(match.group("body")) is not None


# Tokens that their makers gave a recognisable shape: what such a token always holds, then the whole.
_TOKENS = (
    ("AKIA", "ASIA", r"\bA[KS]IA[A-Z0-9]{16}\b"),  # AWS access key id
    ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b"),  # GitHub
    ("github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{22,255}\b"),
    ("glpat-", r"\bglpat-[A-Za-z0-9_-]{20,64}"),  # GitLab
    ("xox", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,255}"),  # Slack
    ("hooks.slack.com", r"\bhooks\.slack\.com/services/[A-Za-z0-9/]{30,80}"),
    ("AIza", r"\bAIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),  # Google
    ("_live_", r"\b[rs]k_live_[A-Za-z0-9]{20,250}\b"),  # Stripe
    ("npm_", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("SG.", r"\bSG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])"),  # SendGrid
    # JSON Web Token
    ("eyJ", r"\beyJ[A-Za-z0-9_-]{10,200}+\.eyJ[A-Za-z0-9_-]{10,4000}+\.[A-Za-z0-9_-]{20,1000}"),
)

_SECRET_NAMES = ("api", "access", "secret", "auth", "private", "client")
_SECRET_KINDS = ("key", "token", "secret")
_ASSIGN = r"[\"']?\]?[ \t]{0,4}(?P<op>:=|=>|=|:)[ \t]{0,4}[@bru]{0,2}(?P<quote>[\"'])"
_SECRET = re.compile(
    rf"(?:{'|'.join(_SECRET_NAMES)})[_-]?(?:{'|'.join(_SECRET_KINDS)}){_ASSIGN}"
    r"(?P<value>[A-Za-z0-9+/_=-]{20,200})(?P=quote)",
    re.IGNORECASE,
)
_SECRET_HINTS = tuple(
    f"{name}{joint}{kind}" for name in _SECRET_NAMES for joint in ("", "_", "-") for kind in _SECRET_KINDS
)


def _is_secret(match: re.Match[str]) -> bool:
    """Random characters hold digits among their letters; words joined by dashes do not."""
    value = match.group("value")
    return sum(map(str.isdigit, value)) >= 3 and sum(map(str.isalpha, value)) >= 3


# Passwords. The first character keeps `"password=" + x + "..."` from being taken for a literal.

_PASSWORD = re.compile(
    rf"p(?:ass(?:word|wd|phrase)|wd)\d{{0,2}}{_ASSIGN}"
    r"(?P<value>[A-Za-z0-9!@#^*_~?-][^\s\"'\\<>(),;]{2,128})(?P=quote)",
    re.IGNORECASE,
)
_CREDENTIALS = re.compile(r"://[^\s:/@\"'<>]{1,64}:(?P<value>[^\s:/@\"'<>{}$%*]{1,128})@")
_TEMPLATE = re.compile(r"\{|\$\(|%[sd]|%\(")
_NOT_PASSWORDS = {
    "password",
    "passwd",
    "passphrase",
    "pass",
    "pwd",
    "none",
    "null",
    "true",
    "false",
    "string",
    "text",
}
_LABEL_MARKS = str.maketrans("", "", "._:!?-")


def _is_password(match: re.Match[str]) -> bool:
    """Not a template, a label (`"password": "Password"`), or asterisks."""
    value = match.group("value")
    if _TEMPLATE.search(value) or value.lower() in _NOT_PASSWORDS or len(set(value)) == 1:
        return False
    return match.group("op") != ":" or not value.translate(_LABEL_MARKS).isalpha()


def _is_credential(match: re.Match[str]) -> bool:
    return match.group("value").lower() not in _NOT_PASSWORDS


# E-mail addresses

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])(?P<value>[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}+"
    r"@(?P<domain>(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.){1,8}(?P<top>[A-Za-z]{2,24})))(?![A-Za-z0-9@-])"
)
_RESERVED_DOMAINS = re.compile(  # RFC 2606
    r"(?:.*\.)?(?:example(?:\.(?:com|org|net|edu))?|test|invalid|localhost|local)", re.IGNORECASE
)
_FILE_ENDINGS = {
    "png",
    "jpg",
    "jpeg",
    "gif",
    "svg",
    "webp",
    "ico",
    "css",
    "js",
    "ts",
    "jsx",
    "json",
    "py",
    "html",
}


def _is_email(match: re.Match[str]) -> bool:
    """Not the user of a remote (`git@github.com:a/b`, `ssh://hg@host`), an asset (`a@2x.png`) or reserved."""
    if match.group("value").startswith("git@") or match.string.endswith("://", 0, match.start()):
        return False
    if match.group("top").lower() in _FILE_ENDINGS:
        return False
    return not _RESERVED_DOMAINS.fullmatch(match.group("domain"))


# IP addresses. The lookbehind comes after the first character so that the scan can look for that character.

_IPV4 = re.compile(
    r"(?P<value>[0-9](?<![\w.][0-9])[0-9]{0,2}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3})(?!\w|\.\w|-[A-Za-z])"
)
_VERSION_BEFORE = re.compile(
    r"(?:(?:version|release|(?<![a-z])(?:ver|rev|v))[\s\"'=:(,_]{0,8}|[=~<>!]=|[~<>]= |[\^~]|[a-z]-)\Z",
    re.IGNORECASE,
)
_IPV6 = re.compile(r"(?P<value>[23f](?<![\w:.][23f])[0-9a-f]{3}:[0-9a-f:]{2,34})(?![\w:])", re.IGNORECASE)
_DOCUMENTATION = tuple(  # RFC 5737, RFC 3849
    map(ipaddress.ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"))
)


def _is_ipv4(match: re.Match[str]) -> bool:
    """Not a version or section number (four numbers below ten are taken for one) and not a mask."""
    value = match.group("value")
    if all(len(number) == 1 for number in value.split(".")) or value.startswith("255."):
        return False
    if _VERSION_BEFORE.search(match.string, max(match.start() - 24, 0), match.start()):
        return False
    return _is_someones(value)


def _is_ipv6(match: re.Match[str]) -> bool:
    """Global, unique local or link-local: other valid spellings are more often C++ scopes than addresses."""
    value = match.group("value").lower()
    return value.startswith(("2", "3", "fc", "fd", "fe80")) and _is_someones(value)


def _is_someones(value: str) -> bool:
    """A valid address that is not loopback, unspecified, or reserved for documentation."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified or value.startswith("0."):
        return False
    return not any(address in network for network in _DOCUMENTATION)


# Names in author tags, at the head of a line

_WORD = r"[^\W\d_a-z][\w.'\u2019-]{0,40}"
_MORE = rf"(?:,?[ \t](?:{_WORD}|and|&|de|del|der|den|van|von|da|di|du|la|le|bin|al)(?!\w)){{0,12}}"
_LINE_HEAD = r"^[ \t]{0,80}+[/*#;%!\"'-]{0,4}+[ \t]{0,20}+"
_TAG = re.compile(
    rf"{_LINE_HEAD}[@\\]authors?[ \t:]{{1,10}}(?P<value>[^\W\d_][\w.'\u2019-]{{0,40}}{_MORE})", re.MULTILINE
)
_BYLINE = re.compile(
    rf"{_LINE_HEAD}(?:(?:Authors?|Maintainers?)[ \t]{{0,4}}:|(?:Written|Created) by:?)[ \t]{{1,4}}"
    rf"(?P<value>{_WORD}{_MORE})",
    re.MULTILINE,
)
_DUNDER = re.compile(
    r"__(?:author|maintainer)__[ \t]{0,4}=[ \t]{0,4}[\"'](?P<value>[^\W\d_][^\"'\n<>]{0,98}[^\"'\s<>])"
    r"[ ]{0,2}(?:<{1,2}email>{1,2})?[\"']"
)

_DETECTORS = (
    _Detector("key", ("PRIVATE KEY",), _PEM, _is_key_block),
    *(_Detector("key", tuple(hints), re.compile(f"(?P<value>{pattern})")) for (*hints, pattern) in _TOKENS),
    _Detector("key", _SECRET_HINTS, _SECRET, _is_secret),
    _Detector("password", ("passw", "passphrase", "pwd"), _PASSWORD, _is_password),
    _Detector("password", ("://",), _CREDENTIALS, _is_credential),
    _Detector("email", ("@",), _EMAIL, _is_email),
    _Detector("ip_address", (".",), _IPV4, _is_ipv4),
    _Detector("ip_address", (":",), _IPV6, _is_ipv6),
    _Detector("name", ("author",), _TAG),
    _Detector("name", ("Author", "Maintainer", "Written by", "Created by"), _BYLINE),
    _Detector("name", ("__author__", "__maintainer__"), _DUNDER),
)
