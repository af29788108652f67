#!/bin/sh
# Writes constraints.txt from what is installed in .venv. It resolves and installs nothing.
set -eu
cd "$(dirname "$0")/.."

{
    sed -n '/^#/p' constraints.txt
    .venv/bin/python -m pip freeze --exclude-editable | sed 's/^\([^ ]*==[^+]*\)+.*$/\1/'
} >constraints.txt.new
mv constraints.txt.new constraints.txt
