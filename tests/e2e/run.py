"""Runs end-to-end tests against real processes, with the official SDKs.

    python3 tests/e2e/run.py python                       what ctest runs as e2e_python
    python3 tests/e2e/run.py java --mode up --only basic  one case on `millrace up`
    python3 tests/e2e/run.py monitoring                   dashboards and rules on a real Prometheus
    E2E_LONG=1 python3 tests/e2e/run.py kill              20 rounds instead of 3

MILLRACE_BIN names the directory of the programs (default build/release/bin). A case that fails is run
once more; `flaky: NAME` is printed when it then passes. Exit codes: 0 passed, 1 failed, 77 skipped.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
import traceback

import auth
import exchange
import faults
import scraped
from cluster import BIN, MODES
from sdk import SDKS, available

SKIPPED = 77


def run_case(name, function, repeats):
    """Returns whether the case passed."""
    for attempt in range(1, repeats + 2):
        began = time.monotonic()
        try:
            function(attempt)
        except Exception as error:
            print(f"FAILED {name} (run {attempt}, {time.monotonic() - began:.1f} s): {error}", flush=True)
            if not isinstance(error, AssertionError):
                traceback.print_exc()
            continue
        print(f"passed {name} ({time.monotonic() - began:.1f} s)", flush=True)
        if attempt > 1:
            print(f"flaky: {name}", flush=True)
        return True
    return False


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suite", choices=sorted(SDKS) + ["auth", "kill", "drain", "relay", "idle", "monitoring"])
    parser.add_argument("--mode", choices=sorted(MODES) + ["all"], default="all")
    parser.add_argument("--only", default="", help="cases: basic, tls, failures; separated by commas")
    parser.add_argument("--repeats", type=int, default=1, help="how often a failed case is run again")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--pictures", default="", help="monitoring only: no test, but pictures into this directory")
    parser.add_argument("--keep", default="", help="directory for logs and histories, which then stay")
    return parser.parse_args()


def main():
    options = parse()
    for name, sdk in SDKS.items():
        if sdk.missing():
            print(f"skipped: {name} ({sdk.missing()})", flush=True)
    if options.suite in SDKS and options.suite not in available() or not available():
        return SKIPPED
    if options.suite == "monitoring" and scraped.missing():
        print(f"skipped: monitoring ({scraped.missing()})", flush=True)
        return SKIPPED
    if not os.path.exists(os.path.join(BIN, "millrace")):
        print(f"no programs in {BIN}: run `make build` or set MILLRACE_BIN", flush=True)
        return 1
    seed = random.randrange(1000000) if options.seed is None else options.seed
    directory = options.keep or tempfile.mkdtemp(prefix="millrace-e2e-")
    modes = sorted(MODES, reverse=True) if options.mode == "all" else [options.mode]
    if options.suite in SDKS:
        cases = exchange.suites(options.suite, modes, [c for c in options.only.split(",") if c], directory)
    elif options.suite == "auth":
        cases = auth.suites(modes, directory)
    elif options.suite == "monitoring":
        cases = scraped.suites(directory, options.pictures)
    else:
        cases = faults.suites(options.suite, directory, os.environ.get("E2E_LONG", "0") not in ("", "0"), seed)
    failed = [name for name, function in cases if not run_case(name, function, options.repeats)]
    if failed:
        print(f"failed: {', '.join(failed)}; seed {seed}; logs and histories are in {directory}", flush=True)
        return 1
    if not options.keep:
        shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
