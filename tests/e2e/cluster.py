"""Starts, kills and restarts Millrace processes: `millrace up`, or five processes.

Five processes = two nameservers, one broker, two proxies. A restarted process gets the ports and the
directory that it had. Everything dies with the process that imports this module.
"""

import ctypes
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("MILLRACE_BIN", os.path.join(ROOT, "build", "release", "bin"))
READY_SECONDS = 30
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


def die_with_parent():
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port():
    """A port that was free a moment ago, on 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, seconds, what):
    """Polls until condition() is true and returns its value; raises AssertionError naming `what`."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.05)


def status_of(address, path):
    """HTTP status of a page; 0 when nobody listens."""
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=5) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


class Process:
    """One server process: its command line, its log file, and the addresses of its ready line."""

    def __init__(self, name, command, log_path):
        self.name = name
        self.command = command
        self.log_path = log_path
        self.addresses = {}
        self._child = None
        self._ready = threading.Event()

    def start(self):
        """Starts the process without waiting; see wait_ready."""
        self._ready = threading.Event()
        log = open(self.log_path, "ab")
        self._child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=log, preexec_fn=die_with_parent)
        log.close()
        threading.Thread(target=self._read, args=(self._child, self._ready), daemon=True).start()

    def _read(self, child, ready):
        with open(self.log_path, "ab") as log, child.stdout as out:
            for raw in out:
                log.write(raw)
                line = raw.decode(errors="replace").strip()
                if line.startswith("ready: "):
                    self.addresses = dict(word.split("=", 1) for word in line.split()[2:] if "=" in word)
                    ready.set()

    def wait_ready(self, seconds=READY_SECONDS):
        deadline = time.monotonic() + seconds
        while not self._ready.wait(0.05):
            if self._child.poll() is not None and not self._ready.wait(0.2):
                raise AssertionError(f"{self.name} exited with {self._child.returncode} before it was "
                                     f"ready:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name} printed no ready line within {seconds} s:\n"
                                     f"{self.log_tail()}")

    def running(self):
        return self._child is not None and self._child.poll() is None

    def pid(self):
        return self._child.pid

    def kill(self):
        """kill -9, and waits for the end."""
        if self.running():
            self._child.kill()
        self._child.wait()

    def signal_stop(self):
        """SIGTERM, without waiting for the end."""
        self._child.send_signal(signal.SIGTERM)

    def terminate(self, seconds=60):
        """SIGTERM; returns the exit code (kills and raises when it does not come)."""
        self.signal_stop()
        try:
            return self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not exit within {seconds} s of SIGTERM:\n"
                                 f"{self.log_tail()}") from None

    def log_tail(self, lines=15):
        try:
            with open(self.log_path, errors="replace") as log:
                return "".join(log.readlines()[-lines:])
        except OSError:
            return "(no log)"


class Cluster:
    """What both kinds of cluster share: the command line client and the list of processes."""

    def __init__(self, directory, users=None, secret=None):
        """`users`, `secret`: contents of the user file and of the secret between services; None: off."""
        self.directory = directory
        self.processes = {}
        self.keys = None  # (access key, secret key) of the command line client
        self.http = {}  # process -> address of its /metrics
        os.makedirs(directory, exist_ok=True)
        self._users_file = self._write("users.yaml", users)
        self._secret_file = self._write("secret", secret)

    def _write(self, name, content):
        """Replaces a file in one step; its path."""
        if content is None:
            return None
        path = os.path.join(self.directory, name)
        with open(path + ".new", "w") as file:
            file.write(content)
        os.rename(path + ".new", path)
        return path

    def write_users(self, content):
        self._write("users.yaml", content)

    def _security(self, users=False):
        """Flags of a process."""
        flags = ["--cluster.secret-file", self._secret_file] if self._secret_file else []
        return flags + (["--auth.users-file", self._users_file] if users and self._users_file else [])

    @staticmethod
    def environment(keys):
        """Variables of a client that has these keys."""
        variables = {name: text for name, text in os.environ.items() if not name.startswith("MILLRACE_")}
        if keys:
            variables.update(MILLRACE_ACCESS_KEY=keys[0], MILLRACE_SECRET_KEY=keys[1])
        return variables

    def _add(self, name, program, *arguments):
        command = [os.path.join(BIN, program), *arguments]
        self.processes[name] = Process(name, command, os.path.join(self.directory, name + ".log"))
        return self.processes[name]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes.values():
            if process.running():
                process.kill()

    def restart(self, name):
        """Starts a process that was stopped or killed again and waits until it is ready."""
        self.processes[name].start()
        self.processes[name].wait_ready()

    def check_alive(self):
        for process in self.processes.values():
            if not process.running():
                raise AssertionError(f"{process.name} has exited:\n{process.log_tail()}")

    def cli(self, *arguments):
        """Runs `millrace ARGUMENTS --admin …` and returns its standard output."""
        return self.run(*arguments, "--admin", self.admin(), keys=self.keys)

    @classmethod
    def run(cls, *arguments, keys=None):
        """Runs `millrace ARGUMENTS` and returns its standard output; raises AssertionError when it fails."""
        command = [os.path.join(BIN, "millrace"), *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30,
                              env=cls.environment(keys))
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} exited with {done.returncode}: "
                                 f"{done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def create_topic(self, name, queues=4):
        self.cli("topic", "create", name, "--queues", str(queues), "--type", "normal")

    def create_group(self, name, max_attempts=None, backoff=None):
        arguments = ["group", "create", name]
        if max_attempts is not None:
            arguments += ["--max-attempts", str(max_attempts)]
        if backoff is not None:
            arguments += ["--backoff", backoff]
        self.cli(*arguments)

    def describe_group(self, name):
        return json.loads(self.cli("group", "describe", name, "--output", "json"))

    def tls_proxies(self):
        """(endpoints, certificate file) of each proxy, for clients that verify."""
        return [(address, self._certificate(name)) for name, address in self._proxies()]

    def _certificate(self, name):
        return os.path.join(self.directory, name + ".pem")


class UpCluster(Cluster):
    """`millrace up`: everything in one process."""

    mode = "up"

    def start(self):
        ports = {key: free_port() for key in ("proxy", "admin", "http", "broker", "nameserver")}
        arguments = ["up", "--data", os.path.join(self.directory, "data"),
                     "--tls.certificate-out", self._certificate("up"), *self._security(users=True)]
        self.http["up"] = f"127.0.0.1:{ports['http']}"
        for key, port in ports.items():
            arguments += [f"--{key}.listen", f"127.0.0.1:{port}"]
        self._add("up", "millrace", *arguments).start()
        self.processes["up"].wait_ready()
        return self

    def endpoints(self):
        return self.processes["up"].addresses["proxy"]

    def admin(self):
        return self.processes["up"].addresses["admin"]

    def nameserver_address(self):
        return self.processes["up"].addresses["nameserver"]

    def _proxies(self):
        return [("up", self.endpoints())]


class FiveCluster(Cluster):
    """Two nameservers, one broker, two proxies; started in an order that the seed decides."""

    mode = "five"
    NAMES = ("nameserver-1", "nameserver-2", "broker", "proxy-1", "proxy-2")

    def start(self, seed=None):
        seed = random.randrange(1000) if seed is None else seed
        self.ports = {name: free_port() for name in self.NAMES}
        self.admin_ports = {name: free_port() for name in ("proxy-1", "proxy-2")}
        self.nameservers = ",".join(self.address(name) for name in self.NAMES[:2])
        order = list(self.NAMES)
        random.Random(seed).shuffle(order)
        print(f"five processes, seed {seed}: {' '.join(order)}", flush=True)
        for name in order:
            self._add(name, *self._command(name)).start()
        for name in order:
            self.processes[name].wait_ready()
        return self

    def address(self, name):
        return f"127.0.0.1:{self.ports[name]}"

    def _command(self, name):
        self.http[name] = f"127.0.0.1:{free_port()}"
        common = ["--http.listen", self.http[name], *self._security(users=name.startswith("proxy"))]
        if name.startswith("nameserver"):
            return ["millrace-nameserver", "--nameserver.listen", self.address(name), *common]
        if name == "broker":
            return ["millrace-broker", "--broker.listen", self.address(name), "--broker.name", "broker-a",
                    "--metadata.home", "broker-a", "--broker.data", os.path.join(self.directory, "data"),
                    "--nameserver.addresses", self.nameservers, *common]
        return ["millrace-proxy", "--proxy.listen", self.address(name), "--proxy.name", name,
                "--proxy.data", os.path.join(self.directory, name),
                "--admin.listen", f"127.0.0.1:{self.admin_ports[name]}",
                "--nameserver.addresses", self.nameservers,
                "--tls.certificate-out", self._certificate(name), *common]

    def endpoints(self):
        return self.address("proxy-1") + ";" + self.address("proxy-2")

    def nameserver_address(self):
        return self.nameservers

    def admin(self):
        for name in ("proxy-1", "proxy-2"):
            if self.processes[name].running():
                return f"127.0.0.1:{self.admin_ports[name]}"
        raise AssertionError("no proxy is running")

    def _proxies(self):
        return [(name, self.address(name)) for name in ("proxy-1", "proxy-2")]


MODES = {"up": UpCluster, "five": FiveCluster}
