"""Builds every target of the Dockerfile, looks into it and runs it as a restricted pod does.

    python3 tests/image/image_test.py          engine.py says how an engine is chosen
"""

import hashlib
import json
import os
import re
import sys
import tarfile
import tempfile
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "e2e"))

import engine as engines  # noqa: E402
from cluster import free_port, status_of, wait_for  # noqa: E402

SIZE_MAX = 60_000_000
USER = 65532
HOME = "var/lib/millrace"
PROGRAMS = {"nameserver": {"millrace-nameserver"}, "broker": {"millrace-broker"}, "proxy": {"millrace-proxy"},
            "cli": {"millrace"},
            "all": {"millrace", "millrace-nameserver", "millrace-broker", "millrace-proxy"}}
START_SECONDS = 60
STOP_SECONDS = 30

ENGINE = None


def setUpModule():
    for target in engines.TARGETS:
        began = time.monotonic()
        ENGINE.build(target)
        print(f"built {target} in {time.monotonic() - began:.1f} s", flush=True)


class Running:
    """A container of a target; removed at the end."""

    def __init__(self, target, *arguments, options=()):
        self.id = ENGINE.start(ENGINE.image(target), *arguments, options=options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        ENGINE.call("rm", "-f", self.id)

    def state(self):
        return ENGINE.inspect(self.id)["State"]

    def log(self):
        return ENGINE.log(self.id)

    def wait_ready(self, port):
        def ready():
            state = self.state()
            if state["Status"] not in ("running", "created", "initialized"):
                raise AssertionError(f"exited with {state['ExitCode']} before it was ready: {self.log()}")
            return status_of(f"127.0.0.1:{port}", "/readyz") == 200
        wait_for(ready, START_SECONDS, lambda: f"/readyz on port {port}; it said: {self.log()}")

    def stop(self):
        """SIGTERM; returns the exit code. The engine kills what has not ended in time, so that is no 0."""
        ENGINE.call("stop", "-t", str(STOP_SECONDS), self.id, seconds=STOP_SECONDS + 30)
        return self.state()["ExitCode"]


def listen(**ports):
    return [word for key, port in ports.items() for word in (f"--{key}.listen", f"127.0.0.1:{port}")]


def ids_of(pid):
    """Real user and group ids of a process, as the kernel sees them."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        found = dict(line.split(":", 1) for line in status)
    return {name: int(found[name].split()[0]) for name in ("Uid", "Gid")}


class Contents(unittest.TestCase):
    """What is in the images, by their own root file systems."""

    def files(self, target):
        """The whole file system: path -> tarfile entry, path -> MD5, and the texts of the package list."""
        container = ENGINE.call("create", ENGINE.image(target)).strip()
        try:
            with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
                ENGINE.call("export", "-o", archive.name, container)
                found, sums, texts = {}, {}, {}
                with tarfile.open(archive.name) as tar:
                    for entry in tar:
                        found[entry.name.rstrip("/")] = entry
                        content = tar.extractfile(entry).read() if entry.isfile() else b""
                        sums[entry.name] = hashlib.md5(content).hexdigest()
                        if "/status.d/" in entry.name:
                            texts[entry.name] = content.decode()
                return found, sums, texts
        finally:
            ENGINE.call("rm", container)

    def test_every_image(self):
        for target in engines.TARGETS:
            with self.subTest(target):
                files, sums, packages = self.files(target)
                size = sum(entry.size for entry in files.values() if entry.isfile())
                print(f"{target}: {size / 1e6:.1f} MB unpacked, {len(packages) // 2} packages", flush=True)
                self.assertLess(size, SIZE_MAX)
                self.check_programs(target, files)
                self.check_rights(files)
                self.check_packages(files, sums, packages)
                self.check_settings(target)

    def check_programs(self, target, files):
        found = {os.path.basename(name) for name, entry in files.items()
                 if re.match(r"(usr/)?s?bin/", name) and not entry.isdir()}
        self.assertEqual(found, PROGRAMS[target], "programs, and no shell")

    def check_rights(self, files):
        for name, entry in files.items():
            if name.split("/")[0] in ("dev", "proc", "sys", "run") or name in ("etc/resolv.conf", "etc/mtab"):
                continue  # the engine's own
            if name == HOME:
                self.assertEqual((entry.uid, entry.gid), (USER, USER), name)
                continue
            self.assertEqual((entry.uid, entry.gid), (0, 0), name)
            self.assertFalse(entry.mode & 0o6000, f"{name} is setuid or setgid")
            self.assertTrue(entry.issym() or not entry.mode & 0o022, f"{name} is writable to others: {entry.mode:o}")
        self.assertIn(HOME, files)

    def check_packages(self, files, sums, texts):
        """Each library is a file of a package whose version is told, byte for byte."""
        listed = {}
        for path, text in texts.items():
            name = os.path.basename(path)
            if name.endswith(".md5sums"):
                listed.update((path, digest) for digest, path in (line.split("  ", 1) for line in text.splitlines()))
                self.assertIn(path[:-len(".md5sums")], texts)
                continue
            fields = dict(re.findall(r"^(\S+): (.+)$", text, re.MULTILINE))
            self.assertEqual(fields["Package"], name)
            self.assertRegex(fields["Version"], r"\d")
            self.assertIn(f"usr/share/doc/{name}/copyright", files)
        libraries = {name for name, entry in files.items() if entry.isfile() and ".so" in os.path.basename(name)}
        self.assertIn("lib/x86_64-linux-gnu/libc.so.6", libraries)
        for name in libraries | {"etc/os-release"}:
            self.assertEqual(listed.get(name), sums[name], f"{name} is not what a listed package holds")

    def check_settings(self, target):
        settings = ENGINE.inspect(ENGINE.image(target))["Config"]
        self.assertEqual(settings["User"], f"{USER}:{USER}")
        self.assertEqual(settings.get("StopSignal"), "SIGTERM")
        self.assertEqual(len(settings["Entrypoint"]), 1, "exec form")
        labels = settings["Labels"]
        for name in ("title", "description", "version", "revision", "created", "licenses", "source"):
            self.assertTrue(labels.get(f"org.opencontainers.image.{name}"), name)


class Runs(unittest.TestCase):
    """Read-only root, no capabilities: each serves, says that it is well, and ends with 0 at SIGTERM."""

    def check(self, container, http):
        container.wait_ready(http)
        self.assertEqual(status_of(f"127.0.0.1:{http}", "/livez"), 200)
        self.assertEqual(status_of(f"127.0.0.1:{http}", "/metrics"), 200)
        self.assertEqual(ids_of(container.state()["Pid"]), {"Uid": USER, "Gid": USER})
        began = time.monotonic()
        self.assertEqual(container.stop(), 0, container.log())
        print(f"{self.id().rsplit('.', 1)[1]}: ended {time.monotonic() - began:.1f} s after SIGTERM", flush=True)

    def check_log(self, container):
        """One ready line, and JSON."""
        lines = container.log().splitlines()
        self.assertEqual(sum(line.startswith("ready: ") for line in lines), 1, lines)
        for line in lines:
            self.assertTrue(line.startswith("ready: ") or json.loads(line)["level"], line)

    def volume(self):
        place = tempfile.TemporaryDirectory(prefix="millrace-image-")
        self.addCleanup(place.cleanup)
        os.chmod(place.name, 0o777)  # a pod has fsGroup
        return ["-v", f"{place.name}:/{HOME}"]

    def cli(self, *arguments):
        with Running("cli", *arguments) as container:
            wait_for(lambda: container.state()["Status"] in ("exited", "stopped"), 30, "the command ends")
            self.assertEqual(container.state()["ExitCode"], 0, container.log())
            return container.log()

    def test_nameserver(self):
        http = free_port()
        with Running("nameserver", *listen(nameserver=free_port(), http=http)) as container:
            self.check(container, http)

    def test_three_services(self):
        names, http = free_port(), {role: free_port() for role in ("nameserver", "broker", "proxy")}
        clients, admin = free_port(), free_port()
        nameservers = ["--nameserver.addresses", f"127.0.0.1:{names}"]
        with Running("nameserver", *listen(nameserver=names, http=http["nameserver"])) as nameserver, \
             Running("broker", *listen(broker=free_port(), http=http["broker"]), *nameservers,
                     "--metadata.home", "broker-a", options=self.volume()) as broker, \
             Running("proxy", *listen(proxy=clients, admin=admin, http=http["proxy"]), *nameservers) as proxy:
            for role, container in (("nameserver", nameserver), ("broker", broker), ("proxy", proxy)):
                container.wait_ready(http[role])
                self.check_log(container)
            self.exchange(clients, admin)
            for role, container in (("proxy", proxy), ("broker", broker), ("nameserver", nameserver)):
                self.check(container, http[role])

    def test_all(self):
        http, clients, admin = free_port(), free_port(), free_port()
        ports = listen(http=http, proxy=clients, admin=admin, broker=free_port(), nameserver=free_port())
        with Running("all", "up", *ports, options=self.volume()) as container:
            container.wait_ready(http)
            self.exchange(clients, admin)
            self.check(container, http)

    def exchange(self, clients, admin):
        self.cli("topic", "create", "words", "--admin", f"127.0.0.1:{admin}")
        self.cli("message", "send", "words", "--body", "first words", "--proxy", f"127.0.0.1:{clients}")
        self.assertIn("first words", self.cli("message", "receive", "words", "--group", "readers",
                                              "--proxy", f"127.0.0.1:{clients}"))

    def test_a_store_needs_a_volume(self):
        """The root is read-only: the broker says so, as JSON, instead of keeping messages in a container."""
        with Running("broker", *listen(broker=free_port(), http=free_port())) as container:
            wait_for(lambda: container.state()["Status"] in ("exited", "stopped"), 30, "the broker ends")
            self.assertNotEqual(container.state()["ExitCode"], 0)
            self.assertIn("/var/lib/millrace", container.log())


def main():
    global ENGINE
    name = engines.find()
    if not name:
        print("skipped: image (neither docker nor podman answers)")
        return
    ENGINE = engines.Engine(name)
    unittest.main(argv=[sys.argv[0], "-v", *sys.argv[1:]])


if __name__ == "__main__":
    main()
