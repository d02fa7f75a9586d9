"""Every family that a running service serves is in docs/metrics.md with its type, and the reverse.

    MILLRACE_BIN=build/release/bin python3 tests/metrics_catalogue_test.py
"""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("MILLRACE_BIN", ROOT / "build/release/bin"))
FREE = "127.0.0.1:0"
COMMON = {"nameserver": {"node_type", "node_id"}, "broker": {"cluster", "node_type", "node_id"}}
# Shown once there is a secret, something was delivered, or there is a backlog of a known age.
NEED_TRAFFIC = re.compile(r"millrace_message_\w+_seconds|rocketmq_(consumer|messages|throughput|send_to_dlq)_\w+|"
                          r"millrace_(consumer|messages|deliveries)_\w+|rocketmq_storage_message_reserve_time_\w+|"
                          r"millrace_cluster_secret_\w+")


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

    def check(self, service, page):
        served = dict(re.findall(r"^# TYPE (\S+) (\S+)$", page, re.M))
        described = catalogue(service)
        for name, kind in served.items():
            self.assertEqual(described.get(name), kind, f"{service} serves {name}: see docs/metrics.md")
        missing = {name for name in described if name not in served and not NEED_TRAFFIC.fullmatch(name)}
        self.assertEqual(missing, set(), f"docs/metrics.md says that {service} serves them")
        for line in page.splitlines():
            if line.startswith("#"):
                continue
            labels = set(re.findall(r"(\w+)=\"", line))
            self.assertLessEqual(COMMON[service], labels, line)
        self.assertEqual(len(re.findall(r"^# TYPE ", page, re.M)), len(served), "a family is on the page twice")

    def test_nameserver_and_broker(self):
        nameserver = self.start("millrace-nameserver", "--nameserver.listen", FREE)
        with tempfile.TemporaryDirectory() as data:
            broker = self.start("millrace-broker", "--broker.listen", FREE, "--broker.data", data, "--metadata.home",
                                "broker-a", "--nameserver.addresses", nameserver("grpc"))
            for service, ready in (("nameserver", nameserver), ("broker", broker)):
                with self.subTest(service):
                    page = urllib.request.urlopen(f"http://{ready('http')}/metrics").read().decode()
                    self.check(service, page)
            self.doCleanups()


if __name__ == "__main__":
    unittest.main()
