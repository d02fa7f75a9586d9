"""One release of the chart in a namespace of its own, and the ways of clients to it."""

import base64
import json
import os
import shlex
import socket
import subprocess
import time

from cluster import Cluster, ROOT, wait_for
from kube import Kube

CHART = os.path.join(ROOT, "helm", "millrace")
NAME = "millrace"
# A command before a client's, for the network of nodes and pods: `ip netns exec ...`, `nsenter ...`.
IN_CLUSTER = shlex.split(os.environ.get("MILLRACE_IN_CLUSTER", ""))
READY_SECONDS = 180
CLIENT_PORT = 8081


def part(component):
    """The selector of a part's pods."""
    return f"app.kubernetes.io/instance={NAME},app.kubernetes.io/component={component}"


def reachable(address, prefix=()):
    """Whether a TCP connection to HOST:PORT comes about, tried from where `prefix` leads."""
    host, port = address.rsplit(":", 1)
    if not prefix:
        try:
            with socket.create_connection((host, int(port)), timeout=3):
                return True
        except OSError:
            return False
    probe = f"import socket; socket.create_connection(({host!r}, {port}), 3)"
    return subprocess.run([*prefix, "python3", "-c", probe], stderr=subprocess.DEVNULL, check=False).returncode == 0


class Release(Cluster):
    """Installs, changes and removes it. `values`: options of helm that every call gets."""

    def __init__(self, namespace, directory, values):
        super().__init__(directory)
        self.kube = Kube(namespace)
        self._values = list(values)
        self.keys = None  # (access key, secret key) of clients
        self.changed = {}  # values that a test has set: key -> value
        self._admin = None

    # Life of the release.

    def _helm(self, verb, wait=True):
        options = list(self._values)
        for key, value in self.changed.items():
            options += ["--set", f"{key}={value}"]
        if wait:
            options += ["--wait", "--timeout", f"{READY_SECONDS}s"]
        self.kube.helm(verb, NAME, CHART, *options)

    def install(self):
        """Seconds until everything is ready."""
        began = time.monotonic()
        self._helm("install")
        return time.monotonic() - began

    def upgrade(self, wait=True):
        """To what `changed` says by now; waits until the new pods are ready and the old ones gone."""
        self._helm("upgrade", wait)
        if wait:
            self.settle()

    def uninstall(self):
        self.kube.helm("uninstall", NAME, "--wait", "--timeout", "120s")
        wait_for(lambda: not self.kube.get("pods", "-l", f"app.kubernetes.io/instance={NAME}")["items"], 120,
                 "no pod is left")

    def settle(self):
        """Waits until as many proxies are there as are wanted, all ready and none on its way out."""
        wanted = self.kube.get("deployment", f"{NAME}-proxy")["spec"]["replicas"]

        def settled():
            pods = self.kube.get("pods", "-l", part("proxy"))["items"]
            return len(pods) == wanted and all(is_ready(pod) for pod in pods)
        wait_for(settled, READY_SECONDS, f"{wanted} ready proxies and no other")

    def test(self):
        """Seconds of `helm test`."""
        began = time.monotonic()
        self.kube.helm("test", NAME, "--timeout", "120s")
        return time.monotonic() - began

    # Ways of clients. Each is HOST:PORT, or '' where this machine has no such way.

    def cluster_ip(self):
        address = f"{self.kube.get('service', f'{NAME}-proxy')['spec']['clusterIP']}:{CLIENT_PORT}"
        return address if IN_CLUSTER and reachable(address, IN_CLUSTER) else ""

    def node_port(self):
        port = self.kube.get("service", f"{NAME}-proxy")["spec"]["ports"][0].get("nodePort")
        addresses = [f"{node}:{port}" for node in self.kube.nodes()] if port else []
        return next((address for address in addresses if reachable(address, IN_CLUSTER)), "")

    def endpoints(self):
        """A way that outlives any single proxy."""
        return self.cluster_ip() or self.node_port()

    def admin(self):
        """By a new port-forward: one to a pod that is gone still listens."""
        if self._admin:
            self._admin.close()
        self._admin = self.kube.forward(f"service/{NAME}-proxy-admin", 8083)
        return self._admin.address

    def set_secret(self, name, kind, files):
        data = {key: base64.b64encode(content.encode()).decode() for key, content in files.items()}
        self.kube.kubectl("apply", "-f", "-", stdin=json.dumps(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "data": data}))


def is_ready(pod):
    return "deletionTimestamp" not in pod["metadata"] and any(
        condition["type"] == "Ready" and condition["status"] == "True"
        for condition in pod["status"].get("conditions", []))
