"""E-mail addresses, Internet addresses and names of authors.

Not a recogniser of named entities: a name is what stands in an author's tag or byline, nothing else; prose is
left alone. What the standards reserve for documentation is nobody's and stays, as do addresses that no message
or packet of somebody else reaches: no-reply senders, private networks, loopback, masks.

Repetitions are bounded or possessive, so that time is linear in the text.
"""

from __future__ import annotations

import ipaddress
import re

import re2

from runtime.data.detectors import Detector, Match, words

# ---------------------------------------------------------------- e-mail addresses

_LOCAL = r"[A-Za-z0-9._%+-]"
_EMAIL = re.compile(
    rf"(?<!{_LOCAL})(?P<value>(?P<local>[A-Za-z0-9]{_LOCAL}{{0,63}}+)"
    r"@(?P<domain>(?:[A-Za-z0-9][A-Za-z0-9-]{0,62}\.){1,8}(?P<top>[A-Za-z]{2,24})))(?![A-Za-z0-9@-])"
)
_RESERVED_DOMAINS = re.compile(  # RFC 2606, RFC 6761
    r"(?:.*\.)?(?:example(?:\.(?:com|org|net|edu))?|test|invalid|localhost|local)", re.IGNORECASE
)
_NOBODY = re.compile(r"git|hg|svn|(?:do[._-]?not|no)[._-]?reply", re.IGNORECASE)
_REMOTE_PATH = re.compile(r":[~/A-Za-z0-9_.-]+/|:[~/]")
_IN_ADDRESS = re.compile(r"//(?:[^\s/@:]{1,64}:)?\Z")
_ASSET = re.compile(r"\d+(?:\.\d+)?x\Z")

# Top-level domains in use (IANA): all of two letters, and those of three or more that occur in code.
_COUNTRIES = words(
    "ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc cd"
    " cf cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gd"
    " ge gf gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke"
    " kg kh ki km kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt"
    " mu mv mw mx my mz na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs"
    " ru rw sa sb sc sd se sg sh si sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv"
    " tw tz ua ug uk us uy uz va vc ve vg vi vn vu wf ws ye yt za zm zw"
)
_GENERIC = words(
    "academy aero africa agency app asia berlin biz blog business cafe cat center chat church city cloud club codes"
    " com community company consulting coop design dev digital directory edu education email engineer engineering"
    " events expert family finance foundation fun global gmbh gov group guru health help host house inc info ink"
    " institute int international jobs legal life limited link live lol london love ltd media mil mobi moe money"
    " museum name net network news ninja one online org page partners paris photo photos plus pro red ren rocks school"
    " science services shop site social software solutions space studio support systems tech technology tel"
    " tips today tools top town training travel university vip wiki work works world wtf xxx xyz zone"
)


def _is_email(match: Match) -> bool:
    """Not the user of a remote (`git@github.com:a/b`, `ssh://hg@host`), an asset (`a@2x.png`) or reserved."""
    local, domain, top = match["local"], match["domain"], match["top"].lower()
    if (top not in _COUNTRIES and top not in _GENERIC) or _RESERVED_DOMAINS.fullmatch(domain):
        return False
    if _NOBODY.fullmatch(local) or _ASSET.match(domain.split(".", 1)[0]):
        return False
    if _IN_ADDRESS.search(match.string, max(match.start() - 68, 0), match.start()) or _REMOTE_PATH.match(
        match.string, match.end()
    ):
        return False
    # One lower-case or capital letter, an operator, an attribute of two letters: a product of matrices.
    return not (len(local) == 1 and domain.count(".") == 1 and len(top) == 2)


# ---------------------------------------------------------------- Internet addresses

_IPV4 = re.compile(
    r"(?P<value>[0-9](?<![\w.][0-9])[0-9]{0,2}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3})(?!\w|\.\w|-[A-Za-z0-9])"
)
_IPV6 = re.compile(r"(?P<value>[23](?<![\w:.][23])[0-9a-f]{3}:[0-9a-f:]{2,34})(?![\w:])", re.IGNORECASE)
# Words that say that four numbers are no address. Between them and the numbers may stand a joint.
_NO_ADDRESS_BEFORE = re.compile(
    r"(?:(?:version|release|revision|build|section|chapter|oid|doi|netmask|mask|agent|chrome|safari|firefox|opera|edge"
    r"|webkit|gecko|mozilla|msie|\.net|(?<![a-z])(?:ver|rev|vers|sec|v))[\s\"'=:(,_/-]{0,8}"
    r"|[=~<>!]=[ ]?|[~<>^][ ]?|[a-z]-|[a-z]/|doi=)\Z",
    re.IGNORECASE,
)
_VERSION_NAME = re.compile(r"\w*version[\"']?[\s\"'=:(,]{0,8}\Z|\[\d\]_?,[^\n]{0,20}\Z", re.IGNORECASE)
_CHANGE_ENTRY = re.compile(r"^[ \t]*[-*#]*[ \t]*\Z", re.MULTILINE)
_ENTRY_AFTER = re.compile(r"[ \t]*(?:[:(]|-+[ ])")
_OR_LATER = re.compile(r"[ \t]+or[ ](?:higher|later|newer)")
# Not addresses of somebody: IANA's special-purpose registries (RFC 6890), multicast and masks.
_RESERVED_V4 = tuple(
    ipaddress.IPv4Network(block)
    for block in words(
        "0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24"
        " 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3"
    )
)
_RESERVED_V6 = tuple(map(ipaddress.IPv6Network, words("2001:db8::/32 2001:2::/48 2002::/16 3fff::/20")))


def _is_ipv4(match: Match) -> bool:
    """Not a number of a version or section (four numbers below ten are taken for one), nor a reserved address."""
    value, text, start = match["value"], match.string, match.start()
    if all(len(number) == 1 for number in value.split(".")):
        return False
    before = text[max(start - 24, 0) : start]
    if _NO_ADDRESS_BEFORE.search(before) or _VERSION_NAME.search(before):
        return False
    if _OR_LATER.match(text, match.end()):
        return False
    if _CHANGE_ENTRY.search(before) and _ENTRY_AFTER.match(text, match.end()):
        return False
    try:
        address = ipaddress.IPv4Address(value)
    except ValueError:
        return False
    return not any(address in network for network in _RESERVED_V4)


def _is_ipv6(match: Match) -> bool:
    """A global one: other valid spellings are more often scopes of C++ and slices than addresses."""
    try:
        address = ipaddress.IPv6Address(match["value"])
    except ValueError:
        return False
    return not any(address in network for network in _RESERVED_V6)


# ---------------------------------------------------------------- names in author tags

_WORD = r"[^\W\d_a-z][\w.'\u2019-]{0,40}+"
_PARTICLE = r"(?:and|&|de|del|der|den|van|von|da|di|du|la|le|bin|al)(?!\w)"
_MORE = rf"(?:,?[ \t](?:{_PARTICLE}|{_WORD})){{0,12}}"
_LINE_HEAD = r"^[ \t]{0,80}+(?:[/*#;%!\"'-]{1,4}+|dnl|rem|REM)?[ \t]{0,20}+"
_ADDRESS_FIRST = r"(?:[^\s@()]{1,64}@[^\s@()]{1,80} \()?"
_TAG = re.compile(
    rf"{_LINE_HEAD}[@\\:]authors?[ \t:]{{1,10}}(?P<value>[^\W\d_][\w.'\u2019-]{{0,40}}+{_MORE})", re.MULTILINE
)
_BYLINE = re.compile(
    rf"{_LINE_HEAD}(?:Original )?(?:[Aa]uthors?|AUTHORS?|Maintainers?)[ \t]{{0,4}}:[ \t]{{1,4}}{_ADDRESS_FIRST}"
    rf"(?P<value>{_WORD}{_MORE})",
    re.MULTILINE,
)
_VERBS = "written|created|contributed|modified|ported|developed|implemented"
_MADE_BY = re.compile(
    rf"{_LINE_HEAD}(?:Original(?:ly)? )?(?:(?i:{_VERBS})[ ][Bb]y:?|(?P<bare>By))[ \t]{{1,4}}"
    rf"(?P<value>{_WORD}(?:[ \t](?:{_PARTICLE}[ ])?{_WORD}){_MORE})(?(bare)(?=[ \t]{{0,4}}(?:[<(,]|$)))",
    re.MULTILINE,
)
_FIELD = re.compile(
    r"(?<![\w.])(?:__)?(?:author|maintainer)s?(?:__)?[\"']?[ \t]{0,4}[=:][ \t]{0,4}\[?[\"']"
    r"(?P<value>[^\W\d_][^\"'\n<>{}()@]{0,98}[^\"\s<>{}()@])[ ]{0,2}(?=<[^<>\n]{1,80}>{1,2}[\"']|[\"'](?!\w))"
)
_NO_PERSON = re.compile(
    r"(?:the|see|unknown|none|various|by|created|many|several)\b|.*\b(?:team|authors?|developers|contributors|project|foundation"
    r"|inc|llc|ltd|gmbh|corp|corporation|company|group|community|itself|university|\w+\.(?:com|org|io))\b",
    re.IGNORECASE,
)


def _is_person(match: Match) -> bool:
    return _NO_PERSON.match(match["value"]) is None


_AUTHOR_NEAR = re2.compile(r"(?:[Aa]uthors?|AUTHORS?|Maintainers?)[ \t]{0,4}:[ \t]{1,4}[^\s]")
_MADE_BY_NEAR = re2.compile(rf"(?:(?i:{_VERBS}) [Bb]y:?|(?:^|\n)[^\n\w]{{0,80}}By)[ \t]{{1,4}}[^\sa-z]")
_FIELD_NEAR = re2.compile(r"(?:[Aa]uthor|AUTHOR|[Mm]aintainer)s?(?:__)?[\"']?[ \t]{0,4}[=:][ \t]{0,4}\[?[\"']")

DETECTORS = (
    Detector("email", ("@",), _EMAIL, _is_email, near=re.compile(r"@[A-Za-z0-9-]{1,63}\.[A-Za-z0-9]")),
    Detector("ip_address", (".",), _IPV4, _is_ipv4, near=re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]")),
    Detector("ip_address", (":",), _IPV6, _is_ipv6, near=re.compile(r":(?<=[23][0-9a-fA-F]{3}:)[0-9a-fA-F:]")),
    Detector("name", (), _TAG, _is_person, near=re2.compile(r"[@\\:]authors?[ \t:]")),
    Detector("name", (), _BYLINE, _is_person, near=_AUTHOR_NEAR),
    Detector("name", (), _MADE_BY, _is_person, near=_MADE_BY_NEAR),
    Detector("name", (), _FIELD, _is_person, near=_FIELD_NEAR),
)
