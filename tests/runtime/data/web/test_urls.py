"""Domains and paths of URLs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.data.web.urls import domain_of, path_of


@pytest.mark.parametrize(
    ("url", "domain", "path"),
    [
        ("https://stackoverflow.com/questions/1", "stackoverflow.com", "/questions/1"),
        ("HTTP://WWW.CNBLOGS.COM/a?b=1&c#d", "cnblogs.com", "/a?b=1&c"),
        ("https://q.cnblogs.com/q/1", "q.cnblogs.com", "/q/1"),
        ("https://user:pass@host.example:8443/x", "host.example", "/x"),
        ("https://host.example./", "host.example", "/"),
        ("//host.example/x", "host.example", "/x"),
        ("host.example/x", "host.example", "/x"),
        ("https://例子.测试/路径", "例子.测试", "/路径"),
        ("https://[2001:db8::1]:80/x", "2001:db8::1", "/x"),
        ("https://[broken/x", "", "/"),
        ("/only/a/path", "", "/only/a/path"),
        ("", "", "/"),
    ],
)
def test_domains_and_paths(url: str, domain: str, path: str) -> None:
    """A host in lower case, without port and www; the rest as it is written, without the fragment."""
    assert (domain_of(url), path_of(url)) == (domain, path)


@given(st.text())
def test_any_text_has_a_domain_and_a_path(url: str) -> None:
    """Crawls hold anything."""
    assert domain_of(url) == domain_of(url).rstrip(".")
    assert path_of(url)
