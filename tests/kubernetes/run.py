"""Tests the images and the chart on the cluster of KUBECONFIG, with official SDKs as clients.

    make test-kubernetes                                      or python3 tests/kubernetes/run.py [CASE...]

README.md describes the variables and the cases. Exit codes: 0 passed, 1 failed, 77 there is no cluster.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
import traceback

sys.path.insert(1, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import images  # noqa: E402 (the path comes first)
import kube  # noqa: E402
from cases import Cases  # noqa: E402
from release import Release  # noqa: E402
from sdk import SDKS  # noqa: E402

SKIPPED = 77
NAMESPACE = "millrace-test"


class Report:
    """Measured things, as they come and as a table at the end."""

    def __init__(self):
        self.lines = []

    def __call__(self, what, value):
        self.lines.append((what, value))
        print(f"{what}: {value}", flush=True)

    def table(self):
        return "\n".join(["| what | result |", "|---|---|", *(f"| {what} | {value} |" for what, value in self.lines)])


def run_case(name, case):
    began = time.monotonic()
    print(f"--- {name}", flush=True)
    try:
        case()
    except Exception as error:  # a case that fails says so, and the next one runs
        if not isinstance(error, AssertionError):
            traceback.print_exc()
        print(f"FAILED {name} ({time.monotonic() - began:.1f} s): {error}", flush=True)
        return False
    print(f"passed {name} ({time.monotonic() - began:.1f} s)", flush=True)
    return True


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", nargs="*", help="these only; `install` always comes first")
    parser.add_argument("--keep", action="store_true", help="leaves the namespace and all files behind")
    parser.add_argument("--release", action="store_true", help="uses the release that --keep has left")
    return parser.parse_args()


def main():
    options = parse()
    languages = [name for name in ("python", "go") if not SDKS[name].missing()]
    for name in ("python", "go"):
        if name not in languages:
            print(f"skipped: {name} ({SDKS[name].missing()})", flush=True)
    missing = kube.missing() or ("" if languages else "no SDK: see what scripts/install-test-deps says")
    if missing:
        print(f"skipped: kubernetes ({missing})", flush=True)
        return SKIPPED
    report, directory = Report(), tempfile.mkdtemp(prefix="millrace-kubernetes-")
    values = images.provide(directory, report, build=not options.release)
    if values is None:
        print("skipped: kubernetes (neither docker nor podman builds images)", flush=True)
        return SKIPPED
    release = Release(NAMESPACE, directory, values)
    if not options.release:
        release.kube.create()
    cases = Cases(release, languages, directory, report)
    wanted = {name: case for name, case in cases.all().items() if not options.cases or name in options.cases}
    failed = []
    try:
        if not options.release and not run_case("install", cases.install):
            return 1
        failed = [name for name, case in wanted.items() if not run_case(name, case)]
    finally:
        if not options.keep:
            release.kube.delete()
    print(f"\n{report.table()}", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}; logs and histories are in {directory}", flush=True)
        return 1
    if not options.keep:
        shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
