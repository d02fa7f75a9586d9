"""Tests of the harness itself: the relay, and the starting and killing of processes."""

import contextlib
import io
import os
import socket
import stat
import sys
import tempfile
import threading
import unittest

import cluster
import run
from relay import TO_CLIENT, TO_TARGET, Relay

# A server of the tests: answers every line with "echo: line"; SIGTERM ends it with 0.
FAKE_SERVER = f"""#!{sys.executable}
import signal, socket, sys, threading
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
address = sys.argv[sys.argv.index("--proxy.listen") + 1].split(":")
if "--broken" in sys.argv:
    print("cannot open data", file=sys.stderr)
    sys.exit(6)
server = socket.create_server((address[0], int(address[1])))
print("starting", flush=True)
print("ready: up proxy=%s:%d admin=x:1" % server.getsockname(), flush=True)
while True:
    connection, _ = server.accept()
    for line in connection.makefile("rb"):
        connection.sendall(b"echo: " + line)
"""


class EchoServer:
    def __init__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    @staticmethod
    def _echo(connection):
        try:
            while data := connection.recv(65536):
                connection.sendall(data)
            connection.sendall(b"bye")
        except OSError:
            pass
        connection.close()


class RelayTest(unittest.TestCase):
    def setUp(self):
        server = EchoServer()
        self.addCleanup(server.close)
        self.relay = Relay(server.address)
        self.addCleanup(self.relay.close)

    def connect(self):
        host, port = self.relay.address.split(":")
        client = socket.create_connection((host, int(port)), timeout=5)
        self.addCleanup(client.close)
        return client

    def echo(self, client, data=b"hello"):
        client.sendall(data)
        return client.recv(100)

    def test_passes_bytes_both_ways(self):
        self.assertEqual(self.echo(self.connect()), b"hello")

    def test_cut_resets_open_connections_and_serves_new_ones(self):
        client = self.connect()
        self.echo(client)
        self.relay.cut()
        with self.assertRaises(ConnectionResetError):
            client.recv(1)
        self.assertEqual(self.echo(self.connect()), b"hello")

    def test_swallow_keeps_the_connection_and_drops_the_bytes(self):
        for direction in (TO_TARGET, TO_CLIENT):
            client = self.connect()
            self.echo(client)
            self.relay.swallow(direction)
            client.settimeout(0.3)
            with self.assertRaises(socket.timeout):
                self.echo(client)
            self.relay.heal()
            self.assertEqual(self.echo(self.connect()), b"hello")

    def test_half_close_ends_one_direction_only(self):
        client = self.connect()
        self.echo(client)
        self.relay.half_close(TO_TARGET)  # the server sees the end and says its last word
        self.assertEqual(client.recv(100), b"bye")

    def test_delay_holds_every_piece(self):
        client = self.connect()
        self.echo(client)
        self.relay.delay(0.4)
        client.settimeout(0.3)
        with self.assertRaises(socket.timeout):
            self.echo(client)
        client.settimeout(5)
        self.assertEqual(client.recv(100), b"hello")

    def test_refuse_resets_new_connections_until_healed(self):
        self.relay.refuse()
        client = self.connect()
        with self.assertRaises(ConnectionError):
            if self.echo(client) == b"":
                raise ConnectionError("closed")
        self.relay.heal()
        self.assertEqual(self.echo(self.connect()), b"hello")


class ProcessTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = directory.name
        self.program = os.path.join(self.directory, "server")
        with open(self.program, "w") as out:
            out.write(FAKE_SERVER)
        os.chmod(self.program, stat.S_IRWXU)

    def process(self, *more):
        port = cluster.free_port()
        command = [self.program, "--proxy.listen", f"127.0.0.1:{port}", *more]
        process = cluster.Process("server", command, os.path.join(self.directory, "server.log"))
        process.start()
        self.addCleanup(process.kill)
        return process, f"127.0.0.1:{port}"

    def test_ready_line_gives_addresses(self):
        process, address = self.process()
        process.wait_ready()
        self.assertEqual(process.addresses, {"proxy": address, "admin": "x:1"})

    def test_killed_process_restarts_on_its_port(self):
        process, address = self.process()
        process.wait_ready()
        before = process.pid()
        process.kill()
        self.assertFalse(process.running())
        process.start()
        process.wait_ready()
        self.assertNotEqual(process.pid(), before)
        self.assertEqual(process.addresses["proxy"], address)

    def test_terminate_returns_the_exit_code(self):
        process, _ = self.process()
        process.wait_ready()
        self.assertEqual(process.terminate(), 0)

    def test_process_that_dies_before_it_is_ready_is_reported_with_its_log(self):
        process, _ = self.process("--broken")
        with self.assertRaisesRegex(AssertionError, "exited with 6(.|\n)*cannot open data"):
            process.wait_ready()


class RunnerTest(unittest.TestCase):
    def outcome_of(self, failures):
        """Runs a case that fails that many times first: (passed, runs, output)."""
        runs = []

        def case(attempt):
            runs.append(attempt)
            if attempt <= failures:
                raise AssertionError("lost a message")

        with contextlib.redirect_stdout(io.StringIO()) as out:
            passed = run.run_case("a case", case, repeats=1)
        return passed, len(runs), out.getvalue()

    def test_case_that_passes_runs_once_and_is_not_flaky(self):
        passed, runs, output = self.outcome_of(failures=0)
        self.assertEqual((passed, runs), (True, 1))
        self.assertNotIn("flaky", output)

    def test_case_that_passes_at_the_second_run_is_named_flaky(self):
        passed, runs, output = self.outcome_of(failures=1)
        self.assertEqual((passed, runs), (True, 2))
        self.assertIn("lost a message", output)
        self.assertIn("flaky: a case\n", output)

    def test_case_that_fails_twice_has_failed(self):
        passed, runs, output = self.outcome_of(failures=2)
        self.assertEqual((passed, runs), (False, 2))
        self.assertNotIn("flaky", output)


if __name__ == "__main__":
    unittest.main()
