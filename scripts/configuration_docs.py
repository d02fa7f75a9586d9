#!/usr/bin/env python3
"""Writes docs/configuration.md from what the programs say about their own keys.

    scripts/configuration_docs.py             writes the page
    scripts/configuration_docs.py --check     fails when the page is stale

MILLRACE_BIN: directory of the programs (build/release/bin).
"""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("MILLRACE_BIN", ROOT / "build/release/bin"))
PAGE = ROOT / "docs/configuration.md"
ROLES = ("millrace-nameserver", "millrace-broker", "millrace-proxy")

PREAMBLE = """# Configuration

This page is generated (`scripts/configuration_docs.py`) from the declarations in the code.

Every key can be given as a flag (`--broker.listen 0.0.0.0:10911` or `--broker.listen=...`), as an environment
variable, or in a YAML file (`--config FILE` or `MILLRACE_CONFIG`; nested or with dots). A flag beats a variable, a
variable the file, the file the default. An unknown flag or key in a file is an error that names the nearest one; an
unknown variable is a warning. Where RocketMQ has a name for the same thing it is accepted too, and a file that ends in
`.conf` or `.properties` is read as lines of `name = value`. `--check-config` checks, `--print-config` prints what would
be used.

Time spans are written with a unit (`500ms`, `10s`, `5m`, `72h`, `3d`), sizes too (`64KiB`, `16MiB`, `1GiB`), lists as
YAML lists or with commas.

"""


def chapter(*command):
    done = subprocess.run([BIN / command[0], *command[1:], "--print-documentation"], text=True,
                          stdout=subprocess.PIPE, env={})
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} does not say its keys: build everything first")
    return done.stdout


def rows(text):
    return [line for line in text.splitlines() if line.startswith("| `")]


def page():
    roles = [chapter(role) for role in ROLES]
    known = {row for role in roles for row in rows(role)}
    up = chapter("millrace", "up").splitlines()
    kept = [line for line in up if line not in known]
    kept[3:3] = ["", "It has the keys of the three roles, except for the addresses of nameservers; these have other "
                     "defaults:"]
    return PREAMBLE + "\n".join(roles) + "\n" + "\n".join(kept) + "\n"


def main():
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text)
    elif not PAGE.exists() or PAGE.read_text() != text:
        sys.exit(f"{PAGE.relative_to(ROOT)} is stale: build everything, then run scripts/configuration_docs.py")


if __name__ == "__main__":
    main()
