"""What an orchestrator sees of the services: readiness, a stop that leaves time, a volume of another set.

    python3 tests/e2e/probes_test.py        MILLRACE_BIN: directory of the programs
"""

import os
import subprocess
import tempfile
import unittest

import cluster

SECONDS = 30


def status_of(process, path):
    return cluster.status_of(process.addresses["http"], path)


class Parts(cluster.Cluster):
    """A nameserver, a broker and a proxy that are started one by one."""

    def __init__(self, directory):
        super().__init__(directory)
        self.ports = {name: cluster.free_port() for name in ("nameserver", "broker", "proxy", "admin")}

    def address(self, name):
        return f"127.0.0.1:{self.ports[name]}"

    def admin(self):
        return self.address("admin")

    def start(self, name, *more):
        arguments = {
            "nameserver": [],
            "broker": ["--metadata.home", "set-0", "--broker.data", os.path.join(self.directory, "data"),
                       "--nameserver.addresses", self.address("nameserver"), "--store.segment-bytes", "16MiB"],
            "proxy": ["--nameserver.addresses", self.address("nameserver"), "--admin.listen", self.admin()],
        }[name]
        if name == "broker" and "--broker.name" not in more:
            more = ("--broker.name", "set-0", *more)
        process = self._add(name, f"millrace-{name}", f"--{name}.listen", self.address(name),
                            "--http.listen", "127.0.0.1:0", *arguments, *more)
        process.start()
        process.wait_ready()
        return process


class ProbesTest(unittest.TestCase):

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory(prefix="millrace-probes-")
        self.addCleanup(self.directory.cleanup)

    def test_a_proxy_is_ready_once_it_has_a_broker(self):
        with Parts(self.directory.name) as parts:
            proxy = parts.start("proxy")
            self.assertEqual(status_of(proxy, "/livez"), 200)
            self.assertEqual(status_of(proxy, "/readyz"), 503)
            parts.start("nameserver")
            parts.start("broker")
            cluster.wait_for(lambda: status_of(proxy, "/readyz") == 200, SECONDS, "the proxy is ready")
            # What was ready stays so: a client of a proxy whose broker is away gets an answer that says so.
            parts.processes["broker"].kill()
            self.assertEqual(status_of(proxy, "/readyz"), 200)

    def test_a_proxy_that_stops_says_so_before_it_stops_to_serve(self):
        with Parts(self.directory.name) as parts:
            parts.start("nameserver")
            parts.start("broker")
            proxy = parts.start("proxy", "--proxy.stop-delay", "5m")
            cluster.wait_for(lambda: status_of(proxy, "/readyz") == 200, SECONDS, "the proxy is ready")
            proxy.signal_stop()
            cluster.wait_for(lambda: status_of(proxy, "/readyz") == 503, SECONDS, "the proxy is not ready")
            self.assertEqual(status_of(proxy, "/livez"), 200)
            said = parts.cli("check", "--proxy", parts.address("proxy"))
            self.assertIn("ok: 10 messages", said)
            self.assertTrue(proxy.running())

    def test_a_stop_without_delay_ends_at_once(self):
        with Parts(self.directory.name) as parts:
            proxy = parts.start("proxy")
            self.assertEqual(proxy.terminate(SECONDS), 0)

    def test_a_broker_refuses_the_volume_of_another_set_and_of_another_cluster(self):
        with Parts(self.directory.name) as parts:
            self.assertEqual(parts.start("broker").terminate(SECONDS), 0)
            for key, value in (("--broker.name", "set-1"), ("--cluster.name", "other")):
                with self.subTest(key=key):
                    command = parts.processes["broker"].command + [key, value]
                    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
                    self.assertEqual(done.returncode, 1, done.stderr)
                    self.assertIn("it belongs to cluster DefaultCluster, broker set set-0", done.stderr)
                    self.assertIn(value, done.stderr)
                    self.assertIn("mount the right volume or correct the configuration", done.stderr)


if __name__ == "__main__":
    unittest.main()
