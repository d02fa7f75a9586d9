"""Agents: small programs on the official SDKs, one per language, with one command line for all.

README.md has the options and the lines that an agent prints.
"""

import json
import os
import shutil
import subprocess
import threading
import time

from cluster import ROOT, Cluster, die_with_parent, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
VENV_PYTHON = os.path.join(ROOT, "build", "venv", "bin", "python")
JAVA_OUT = os.path.join(ROOT, "build", "e2e", "java")
GO_AGENT = os.path.join(ROOT, "build", "e2e", "go_agent")
START_SECONDS = 60


class Sdk:
    """One language: how its agent is started, and what is missing where it cannot be."""

    def __init__(self, name, command, needs):
        self.name = name
        self.command = command
        self._needs = needs

    def missing(self):
        """What is missing, as text; '' when the agent can run."""
        for path in self._needs:
            if not os.path.exists(path) and not shutil.which(path):
                return f"no {path}: see what scripts/install-test-deps says"
        return ""


SDKS = {
    "python": Sdk("python", [VENV_PYTHON, os.path.join(HERE, "agents", "python_agent.py")],
                  [VENV_PYTHON, os.path.join(ROOT, "build", "venv", "sdk.version")]),
    "java": Sdk("java", ["java", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                         "-Xshare:auto", "-cp",
                         os.path.join(JAVA_OUT, "agent.jar") + ":" + os.path.join(JAVA_OUT, "lib", "*"),
                         "millrace.e2e.Agent"],
                ["java", os.path.join(JAVA_OUT, "agent.jar")]),
    "go": Sdk("go", [GO_AGENT], [GO_AGENT]),
}


def available():
    """The languages whose agents can run here."""
    return [name for name, sdk in SDKS.items() if not sdk.missing()]


class Agent:
    """A running agent. Its lines are kept in memory and in DIRECTORY/NAME.jsonl.

    `prefix`: words before its command line, which run it in another network.
    """

    def __init__(self, directory, language, command, name, roots=None, keys_of=None, prefix=(), **options):
        self.name = name
        self.language = language
        self.lines = []
        self._lock = threading.Lock()
        self._path = os.path.join(directory, name + ".jsonl")
        home = os.path.join(directory, name + ".home")
        os.makedirs(home, exist_ok=True)
        environment = dict(Cluster.environment(keys_of), HOME=home)
        arguments = list(SDKS[language].command)
        if language == "java":
            arguments.insert(1, f"-Duser.home={home}")
        if roots:
            environment["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = roots
        arguments += [command, "--name", name]
        for key, value in options.items():
            arguments += ["--" + key.replace("_", "-"), str(value)]
        arguments = [*prefix, *arguments]
        self._errors = open(os.path.join(directory, name + ".err"), "ab")
        self._child = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=self._errors, env=environment, preexec_fn=die_with_parent)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with open(self._path, "a") as history:
            for raw in self._child.stdout:
                text = raw.decode(errors="replace")
                try:
                    line = json.loads(text)
                except ValueError:  # an SDK's own chatter
                    self._errors.write(raw)
                    continue
                line["agent"] = self.name
                history.write(json.dumps(line, separators=(",", ":")) + "\n")
                history.flush()
                with self._lock:
                    self.lines.append(line)

    def of(self, *ops):
        """The lines of these operations so far."""
        with self._lock:
            return [line for line in self.lines if line["op"] in ops]

    def wait_ready(self, seconds=START_SECONDS):
        wait_for(lambda: self.of("ready", "error") or self._child.poll() is not None, seconds,
                 f"{self.name} is started")
        if not self.of("ready"):
            raise AssertionError(f"{self.name} could not start: {self._last_words()}")

    def running(self):
        return self._child.poll() is None

    def tell_stop(self):
        try:
            self._child.stdin.write(b"stop\n")
            self._child.stdin.close()
        except (BrokenPipeError, ValueError, OSError):
            pass  # it has ended by itself

    def wait(self, seconds):
        """Waits until the agent has ended by itself, without an error."""
        deadline = time.monotonic() + seconds
        while self.running():
            if time.monotonic() > deadline:
                raise AssertionError(f"{self.name} has not finished within {seconds} s; "
                                     f"it has {self.summary()}; {self._last_words()}")
            time.sleep(0.05)
        self._reader.join(5)
        if self._child.returncode != 0:
            raise AssertionError(f"{self.name} exited with {self._child.returncode}: {self._last_words()}")

    def stop(self, seconds=15):
        """Tells the agent to stop, and kills it when it has not ended in time."""
        self.tell_stop()
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._reader.join(5)
        self._errors.close()

    def summary(self):
        with self._lock:
            counts = {}
            for line in self.lines:
                key = line["op"] + ("" if line.get("ok", True) else " failed")
                counts[key] = counts.get(key, 0) + 1
        return ", ".join(f"{count} {key}" for key, count in counts.items()) or "printed nothing"

    def _last_words(self):
        failed = [line for line in self.of("error", "send", "ack", "receive", "change")
                  if line.get("error")]
        if failed:
            return "last error: " + failed[-1]["error"]
        self._errors.flush()
        with open(self._errors.name, errors="replace") as errors:
            return "".join(errors.readlines()[-8:]) or "no error printed"


class Agents:
    """All agents of one test, ended together."""

    def __init__(self, directory, prefix=()):
        self.directory = directory
        self.prefix = prefix
        self.all = []
        os.makedirs(directory, exist_ok=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for agent in self.all:
            if agent.running():
                agent.tell_stop()
        for agent in self.all:
            agent.stop(seconds=5)

    def start(self, language, command, name, **options):
        agent = Agent(self.directory, language, command, name, prefix=self.prefix, **options)
        self.all.append(agent)
        return agent

    def history(self):
        return [line for agent in self.all for line in agent.of(
            "send", "deliver", "ack", "change", "handled", "receive")]
