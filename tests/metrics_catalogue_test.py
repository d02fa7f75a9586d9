"""Every family that a running service serves is in docs/metrics.md with its type, and the reverse.

    MILLRACE_BIN=build/release/bin python3 tests/metrics_catalogue_test.py
"""

import os
import pathlib
import re
import subprocess
import tempfile
import time
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("MILLRACE_BIN", ROOT / "build/release/bin"))
FREE = "127.0.0.1:0"
COMMON = {"nameserver": {"node_type", "node_id"}, "broker": {"cluster", "node_type", "node_id"},
          "proxy": {"cluster", "node_type", "node_id"}}
# Shown once an SDK has an open stream, there is a secret or a user, or something went wrong; see docs/metrics.md.
NOT_HERE = re.compile(r"rocketmq_(producer|consumer)_connections|rocketmq_storage_message_reserve_time_\w+|"
                      r"millrace_(cluster_secret|auth)_\w+|millrace_proxy_route_age_seconds")


def catalogue(service):
    families = {}
    for line in (ROOT / "docs/metrics.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        name = re.fullmatch(r"`([a-z_]+)`", cells[0])
        if name and len(cells) == 6 and cells[4] in (service, "all"):
            families[name[1]] = cells[1]
    return families


class CatalogueTest(unittest.TestCase):
    def start(self, program, *arguments):
        child = subprocess.Popen([BIN / program, *arguments, "--http.listen", FREE], stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, text=True)
        self.addCleanup(child.stdout.close)
        self.addCleanup(child.wait, 20)
        self.addCleanup(child.terminate)
        ready = child.stdout.readline()
        self.assertTrue(ready.startswith("ready:"), ready)
        return lambda name: re.search(rf"{name}=(\S+)", ready)[1]

    def page_of(self, address, service):
        """The page once it is complete: what the broker counts shows a moment later."""
        patience = time.monotonic() + 10
        while True:
            page = urllib.request.urlopen(f"http://{address}/metrics").read().decode()
            absent = [name for name in catalogue(service) if f"# TYPE {name} " not in page]
            if all(NOT_HERE.fullmatch(name) for name in absent) or time.monotonic() > patience:
                return page
            time.sleep(0.05)

    def check(self, service, page):
        served = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.M))
        described = catalogue(service)
        for name, kind in served.items():
            self.assertEqual(described.get(name), kind, f"{service} serves {name}: see docs/metrics.md")
        missing = {name for name in described if name not in served and not NOT_HERE.fullmatch(name)}
        self.assertEqual(missing, set(), f"docs/metrics.md says that {service} serves them")
        for line in page.splitlines():
            if line.startswith("#"):
                continue
            labels = set(re.findall(r"(\w+)=\"", line))
            self.assertLessEqual(COMMON[service], labels, line)
        self.assertEqual(len(re.findall(r"^# TYPE ", page, re.M)), len(served), "a family is on the page twice")

    def cli(self, *arguments):
        subprocess.run([BIN / "millrace", *arguments], check=True, stdout=subprocess.DEVNULL, timeout=60)

    def test_all_services_after_a_message(self):
        nameserver = self.start("millrace-nameserver", "--nameserver.listen", FREE)
        with tempfile.TemporaryDirectory() as data:
            broker = self.start("millrace-broker", "--broker.listen", FREE, "--broker.data", data, "--metadata.home",
                                "broker-a", "--nameserver.addresses", nameserver("grpc"))
            proxy = self.start("millrace-proxy", "--proxy.listen", FREE, "--admin.listen", FREE, "--proxy.canary=true",
                               "--proxy.data", data + "/proxy", "--nameserver.addresses", nameserver("grpc"))
            self.cli("check", "--proxy", proxy("proxy"), "--admin", proxy("admin"))
            for service, ready in (("nameserver", nameserver), ("broker", broker), ("proxy", proxy)):
                with self.subTest(service):
                    self.check(service, self.page_of(ready("http"), service))
            self.doCleanups()


if __name__ == "__main__":
    unittest.main()
