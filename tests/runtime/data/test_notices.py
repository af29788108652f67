"""Notices in the head: what goes of a comment in any language, and that the head is where the parser sees it."""

from __future__ import annotations

import os
import re

import pyarrow.parquet as pq
import pytest

from runtime.data import treesitter
from runtime.data.comments import comment_syntax, commented_languages
from runtime.data.notices import _head_comments, notices


def without(text, language):
    for start, end in reversed(notices(text, language)):
        text = text[:start] + text[end:]
    return text


@pytest.mark.parametrize("language", commented_languages())
def test_every_language_with_comments(language):
    """A notice goes; the description beside it and the code stay, whatever the markers."""
    syntax = comment_syntax(language)
    for marker in syntax.line:
        head = f"{marker} Copyright (c) 2020 Jo Roe. All rights reserved.\n"
        assert without(head + "\nvalue 1\n", language) == "value 1\n"
        described = f"{marker} Reads the configuration.\n"
        assert without(described + head + "\nvalue 1\n", language) == described + "\nvalue 1\n"
    for opening, closing in syntax.block:
        head = f"{opening}\nCopyright (c) 2020 Jo Roe.\nLicensed under the MIT license.\n{closing}\n"
        assert without(head + "\nvalue 1\n", language) == "value 1\n"
        described = f"{opening}\nReads the configuration.\n\nCopyright (c) 2020 Jo Roe.\n{closing}\nvalue 1\n"
        kept = f"{opening}\nReads the configuration.\n{closing}\nvalue 1\n"
        assert without(described, language) == kept


@pytest.mark.parametrize(
    "line",
    [
        "Copyright 2020 Jo",
        "copyright (c) jo 2020",
        "Copyright © 1999-2003, The Company",
        "(C) 2001 Jo Roe",
        "(c) Jo Roe",
        "© Jo Roe",
        "SPDX-License-Identifier: GPL-2.0-only",
        "SPDX-FileCopyrightText: 2020 Jo",
        "@license MIT",
        ":copyright: 2020 by Jo",
        "License: BSD",
        "Licensed under the terms of the GPL",
        "Released under the MIT license",
        "This file is distributed under the same license as the package.",
        "Use of this source code is governed by a BSD-style license.",
        "All Rights Reserved.",
        "Released to the public domain.",
    ],
)
def test_what_a_notice_says(line):
    """Common forms, each alone in a comment."""
    assert without(f"# {line}\nx = 1\n", "python") == "x = 1\n"


@pytest.mark.parametrize(
    "line",
    [
        "Finds the copyright notices of a package.",
        "The license field may be empty.",
        "Item (c) is the third of the list",
        "Checks permissions of files.",
        "Adapted from Objects/set-common.h",
        "Copyright notices are read from LICENSE.",
    ],
)
def test_what_is_none(line):
    """Words of the same field, not stating anything of this file."""
    text = f"# {line}\nx = 1\n"
    assert without(text, "python") == text


def test_notices_below_the_head_stay():
    """Code's own business, also where it is a comment."""
    text = "import os\n# Copyright 2020 Jo\n"
    assert notices(text, "python") == []


HEADS = {
    "python": "#!/usr/bin/python\n# Copyright 2020 Jo\n\n# More.\n'''Doc.'''\nimport os\n# no\n",
    "c": "/* Copyright 2020 Jo */\n// more\n\n/** doc */\nint x; // no\n",
    "rust": "// Copyright 2020\n//! doc\n/* more */\nfn main() {}\n",
    "javascript": "#!/usr/bin/env node\n/*! (c) Jo */\n// more\nrun(); // no\n",
    "go": "// Copyright 2020\n\n//go:build x\n\n/* doc */\npackage p\n",
    "java": "/* Copyright */\n// more\npackage a;\n",
    "ruby": "# frozen_string_literal: true\n# (c) Jo\n=begin\nmore\n=end\nx = 1\n",
    "shell": "#!/bin/sh\n# Copyright\n\n# more\necho\n",
    "css": "/* Copyright */\n/* more */\na { }\n",
    "html": "<!DOCTYPE html>\n<!-- Copyright -->\n<!-- more -->\n<p></p>\n",
    "php": "<?php\n/* Copyright */\n# more\n// more\necho 1;\n",
}


def _agree(text, language):
    """The scan's head comments against the parser's leading ones, as the characters they hold."""
    scan = "".join(text[c.start : c.end] for c in _head_comments(text, comment_syntax(language), False))
    tree = treesitter.parse(text.encode(), language)
    if tree is None:
        return None
    spans = [node.byte_range for node in treesitter.captures(tree, language).get("comment", [])]
    raw = text.encode()
    parsed = "\n".join(raw[start:end].decode() for start, end in sorted(spans))
    squeeze = re.compile(r"#!.*|\s+")
    return squeeze.sub("", parsed).startswith(squeeze.sub("", scan))


@pytest.mark.parametrize(("language", "text"), HEADS.items(), ids=HEADS)
def test_the_parser_sees_the_same_head(language, text):
    """What the scan takes for comments are the first comments of the tree."""
    assert _agree(text, language) is True


@pytest.mark.slow
def test_the_parser_sees_the_same_heads_in_a_corpus():
    """The same over real files; OCSPEC_TEST_CORPUS is a Parquet file with content and language."""
    path = os.environ.get("OCSPEC_TEST_CORPUS")
    if not path:
        pytest.skip("OCSPEC_TEST_CORPUS is not set")
    table = pq.read_table(path, columns=["content", "language"])
    compared = different = 0
    for content, name in zip(table["content"].to_pylist(), table["language"].to_pylist(), strict=True):
        language = {"c++": "cpp"}.get(name.lower(), name.lower())
        if language in treesitter.GRAMMARS and len(content) < 100_000 and comment_syntax(language):
            agreed = _agree(content[:4_000], language)
            compared += agreed is not None
            different += agreed is False
    assert compared > 1_000
    assert different / compared < 0.005, f"{different} of {compared}"
