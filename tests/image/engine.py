"""Builds and runs images with docker or podman, whichever is there.

    ENGINE             docker or podman; without it docker when its daemon answers, else podman
    BUILD_OPTIONS      more options of `build`, as `--network host` or `--build-arg BASE=...`
"""

import json
import os
import shlex
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TARGETS = ("nameserver", "broker", "proxy", "cli", "all")
# As a restricted pod runs: nothing to write to, no capability, no way to gain one. The network is the machine's,
# so that a test needs no bridge; programs are told to listen on 127.0.0.1. The limits are what a machine without
# CAP_SYS_RESOURCE allows.
RUN_OPTIONS = ["--network", "host", "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
               "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"]


def answers(name):
    return shutil.which(name) and subprocess.run([name, "info"], stdout=subprocess.DEVNULL,
                                                 stderr=subprocess.DEVNULL, check=False).returncode == 0


def find():
    """'docker', 'podman', or '' when neither can be used."""
    for name in [os.environ["ENGINE"]] if os.environ.get("ENGINE") else ["docker", "podman"]:
        if answers(name):
            return name
    return ""


class Engine:
    """One of the two; every failure is an AssertionError with what the engine said."""

    def __init__(self, name):
        self.name = name

    def call(self, *arguments, seconds=60):
        done = subprocess.run([self.name, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=seconds, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{self.name} {shlex.join(arguments)} exited with {done.returncode}:\n"
                                 f"{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout

    def image(self, target, tag="test"):
        return f"localhost/millrace-{target}:{tag}"

    def build(self, target, tag="test", seconds=3600):
        """Builds one target of the Dockerfile and returns its name."""
        options = shlex.split(os.environ.get("BUILD_OPTIONS", ""))
        if self.name == "podman":
            options = ["--format", "docker", *options]  # the other format knows no STOPSIGNAL of an image
        self.call("build", *options, "--target", target, "-t", self.image(target, tag), ROOT, seconds=seconds)
        return self.image(target, tag)

    def log(self, container):
        """What it printed, on either stream."""
        return subprocess.run([self.name, "logs", container], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=True, timeout=60).stdout

    def inspect(self, thing):
        return json.loads(self.call("inspect", thing))[0]

    def start(self, image, *arguments, options=()):
        """Starts a container with a read-only root and returns its id."""
        extra = ["--read-only-tmpfs=false"] if self.name == "podman" else []
        return self.call("run", "-d", *RUN_OPTIONS, *extra, *options, image, *arguments).strip()
