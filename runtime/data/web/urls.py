"""URLs: the domain that a page belongs to, and the rest.

A domain is the host without `www.`, not the registered name above it: OpenCoder's table of domains (table 14)
lists q.cnblogs.com beside www.cnblogs.com, and ask.csdn.net. It needs no list of public suffixes, which
changes from day to day and would change domains with it.
"""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit


def domain_of(url: str) -> str:
    """The host of a URL in lower case, without port and `www.`; empty where there is none.

    >>> [domain_of(u) for u in ("https://WWW.Example.org:80/a", "q.cnblogs.com/q/1", "http://[::1", "mailto:x@y.z")]
    ['example.org', 'q.cnblogs.com', '', '']
    """
    parts = _split(url)
    try:
        host = (parts.hostname or "") if parts else ""
    except ValueError:
        return ""
    return host.rstrip(".").removeprefix("www.")


def path_of(url: str) -> str:
    """What stands after the host: path and query, without the fragment; `/` where there is nothing.

    >>> path_of("https://example.org/a/b?c=1#d"), path_of("https://example.org")
    ('/a/b?c=1', '/')
    """
    parts = _split(url)
    if parts is None:
        return "/"
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _split(url: str) -> SplitResult | None:
    """The parts of a URL; one without a scheme starts with its host."""
    head = url.partition("/")[0]
    bare = "://" not in url and not url.startswith("//") and ("." in head and "@" not in head)
    try:
        return urlsplit(f"//{url}" if bare else url)
    except ValueError:
        return None
