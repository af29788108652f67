"""Keys and passwords that stand in a text as literals.

Not a secret scanner: it never asks a service whether a key works, and does not judge by entropy alone, since
hashes, digests and encoded data in code look the same. It knows the shapes that makers gave their tokens, key
blocks, and literals assigned to a name that says what they are. Words that stand for a password (`changeme`,
`${PASSWORD}`, `<password>`) are nobody's and stay.

detect-secrets 1.5 (Apache-2.0) was measured beside it and is too slow here: docs/how-to/redaction.md has the
figures.

Repetitions are bounded or possessive, so that time is linear in the text.
"""

from __future__ import annotations

import re

import re2

from runtime.data.detectors import Detector, Match, Searches, words

# ---------------------------------------------------------------- keys

_PEM = re.compile(
    r"(?P<value>-----BEGIN [A-Z0-9 ]{0,40}+(?:(?<=PRIVATE KEY)|(?<=PRIVATE KEY BLOCK))-----"
    r"(?P<body>(?:\s{0,4}[A-Za-z-]{1,20}: [^\n]{0,100}\n){0,5}[A-Za-z0-9+/=\s\"'\\,:;.()*#|>]{64,40000}+)"
    r"-----END [A-Z0-9 ]{0,50}-----)"
)
_BASE64_RUN = re.compile(r"[A-Za-z0-9+/]{40}")


def _is_key_block(match: Match) -> bool:
    """Code that names both markers has no base64 between them."""
    return _BASE64_RUN.search(match.group("body")) is not None


# Tokens that their makers gave a recognisable shape.
_TOKENS = (
    r"A[KS]IA[A-Z0-9]{16}(?!\w)",  # AWS access key id
    r"gh[pousr]_[A-Za-z0-9]{36,255}(?!\w)",  # GitHub
    r"github_pat_[A-Za-z0-9_]{22,255}",
    r"glpat-[A-Za-z0-9_-]{20,64}",  # GitLab
    r"xox[abeoprs]-[A-Za-z0-9-]{10,255}",  # Slack
    r"hooks\.slack\.com/services/[A-Za-z0-9/]{30,80}",
    r"AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])",  # Google
    r"[rs]k_live_[A-Za-z0-9]{20,250}(?!\w)",  # Stripe
    r"npm_[A-Za-z0-9]{36}(?!\w)",
    r"SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])",  # SendGrid
    r"hf_[A-Za-z]{34}(?!\w)",  # Hugging Face
    r"sk-(?:(?:proj|ant-api[0-9]{2})-)?[A-Za-z0-9_-]{40,200}(?!\w)",  # OpenAI, Anthropic
    r"pypi-AgE[A-Za-z0-9_-]{60,1000}",
    r"eyJ[A-Za-z0-9_-]{10,200}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{20,1000}",  # JSON Web Token
)
_TOKEN = re.compile("|".join((r"(?<![\w-])(?P<value>" + _TOKENS[0], *_TOKENS[1:])).replace("}", "}+") + ")")
_TOKEN_NEAR = re2.compile(
    r"\b(?:A[KS]IA[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_|glpat-|xox[abeoprs]-|hooks\.slack\.com|AIza[A-Za-z0-9_-]{35}"
    r"|[rs]k_live_|npm_[A-Za-z0-9]{36}|SG\.[A-Za-z0-9_-]{22}\.|hf_[A-Za-z]{34}|sk-[A-Za-z0-9_-]{40}|pypi-AgE|eyJ[A-Za-z0-9_-]{10,}\.eyJ)"
)

_ASSIGN = r"[\"']?\]?[ \t]{0,4}(?P<op>:=|=>|=|:)[ \t]{0,4}[@bru]{0,2}(?P<quote>[\"'])"
_NAME_OF_KEY = (
    r"(?:api|access|secret|auth|private|client|consumer|account|encryption|signing)[_-]?(?:access[_-]?)?"
    r"(?:key|token|secret)(?:[_-]?id)?"
)
_SECRET = re.compile(
    rf"{_NAME_OF_KEY}{_ASSIGN}(?P<value>[A-Za-z0-9+/_=.!@#$%^&*()-]{{20,200}})(?P=quote)", re.IGNORECASE
)
_READABLE = re.compile(r"[A-Za-z]{3,}(?:[_.-][A-Za-z]+){2,}|https?:|example|your", re.IGNORECASE)


def _is_secret(match: Match) -> bool:
    """Random characters hold digits among their letters; words joined by dashes do not."""
    value = match.group("value")
    if _READABLE.match(value) or len(set(value)) < 8:
        return False
    return sum(map(str.isdigit, value)) >= 3 and sum(map(str.isalpha, value)) >= 3


# ---------------------------------------------------------------- passwords

# The first character keeps `"password=" + x + "..."` from being taken for a literal.
_LITERAL = r"(?P<value>[A-Za-z0-9!@#^*_~?-][^\s\"'\\<>(),;]{2,128})(?P=quote)"
_PASSWORD_NAME = r"p(?:ass(?:word|wd|phrase)|wd)[0-9]{0,2}"  # noqa: S105
_PASSWORD = re.compile(rf"{_PASSWORD_NAME}{_ASSIGN}{_LITERAL}", re.IGNORECASE)
_DEFINE = re.compile(
    r"define\([ \t]{0,4}[\"']\w{0,40}PASS(?:WORD|WD)?[\"'][ \t]{0,4},[ \t]{0,4}(?P<quote>[\"'])" + _LITERAL,
    re.IGNORECASE,
)
# In a connection string: other settings go before it, within the same quotes.
_PAIR = re.compile(
    r"[\"'](?=[A-Za-z])(?:[^;\"'\n]{1,160}+;){1,8}[ ]?(?:Password|Pwd)="
    r"(?P<value>[^\s\"'\\<>(),;&={}$%]{3,64}+)(?=;?[\"']|;[\w ]{2,40}=)",
    re.IGNORECASE,
)
_SETTING = re.compile(
    r"^[ \t]{0,20}[\w.-]{0,40}pass(?:word|wd)[ \t]{0,4}=[ \t]{0,4}(?P<value>[^\s\"'\\<>(),;&={}$%\[\]]{4,64})[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_CREDENTIALS = re.compile(r"://[^\s:/@\"'<>\[\]]{1,64}:(?P<value>[^\s:/@\"'<>{}$%*\[\]]{1,128})@")
_TEMPLATE = re.compile(r"\{|\$\(|\$[A-Za-z_]|%[sd]|%\(")
_STANDS_FOR_ONE = words(
    "admin bar baz changeit changeme changethis default dummy empty example false foo foobar guest hidden hide"
    " invalid letmein my mypass none null optional pass passphrase passwd password passwort placeholder pw pwd"
    " required root sample secret string temp test tester testing testpass text todo true undefined user"
    " wrong wrongpass yourpass thepass here input field"
)
_WORD_OF_IT = re.compile(r"pass(?:w|phrase|$)|pwd|passwort|[/\\].*[/\\]|^[/.~]|https?:|^\*", re.IGNORECASE)
_NOT_LETTERS = re.compile(r"[\W\d_]+")


def is_placeholder(value: str) -> bool:
    """Whether a value stands for a password, and is none.

    >>> [
    ...     word
    ...     for word in ("${PW}", "changeme", "test123", "********", "new_password", "hunter2")
    ...     if is_placeholder(word)
    ... ]
    ['${PW}', 'changeme', 'test123', '********', 'new_password']
    """
    if _TEMPLATE.search(value) or len(set(value)) <= 2 or _WORD_OF_IT.search(value):
        return True
    return _NOT_LETTERS.sub("", value).lower() in _STANDS_FOR_ONE


def _is_password(match: Match) -> bool:
    """Not a placeholder, nor what follows a label: `password: "Kennwort"`, `password: 'min:8|required'`."""
    value = match.group("value")
    if is_placeholder(value):
        return False
    return match.group("op") != ":" or not _is_label(value)


def _is_label(value: str) -> bool:
    letters = value.replace(":", "").replace(".", "").replace("!", "").replace("?", "")
    words = letters.replace("_", "").replace("-", "")
    return "|" in value or (words.isalpha() and (words.islower() or words.istitle() or "_" in letters))


def _not_placeholder(match: Match) -> bool:
    return not is_placeholder(match.group("value"))


def _near(name: str) -> Searches:
    """A literal assigned to `name`, for RE2, which takes one pass whatever the text."""
    pattern: Searches = re2.compile(rf"(?i){name}[\"']?\]?[ \t]{{0,4}}(?::=|=>|=|:)[ \t]{{0,4}}[@bru]{{0,2}}[\"']")
    return pattern


DETECTORS = (
    Detector("key", ("private key",), _PEM, _is_key_block),
    Detector("key", (), _TOKEN, near=_TOKEN_NEAR),
    Detector("key", (), _SECRET, _is_secret, near=_near(_NAME_OF_KEY)),
    Detector("password", (), _PASSWORD, _is_password, near=_near(_PASSWORD_NAME)),
    Detector("password", ("define(",), _DEFINE, _not_placeholder),
    Detector("password", ("password=", "pwd="), _PAIR, _not_placeholder),
    Detector("password", ("://",), _CREDENTIALS, _not_placeholder),
)
# Bare values after a name, only where the format has no quotes around strings.
SETTINGS = (Detector("password", ("password", "passwd"), _SETTING, _not_placeholder),)
SETTINGS_LANGUAGES = frozenset({"ini", "java properties", "dotenv"})
