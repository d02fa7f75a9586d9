"""kubectl, helm and what a test reads of a cluster. KUBECONFIG names the cluster."""

import glob
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time

from cluster import die_with_parent, free_port, wait_for


def missing():
    """What is missing, as text; '' when there is a cluster to test on."""
    absent = [name for name in ("kubectl", "helm") if not shutil.which(name)]
    if absent:
        return f"no {' and no '.join(absent)} in PATH"
    if not os.environ.get("KUBECONFIG"):
        return "KUBECONFIG names no cluster"
    done = subprocess.run(["kubectl", "get", "--raw", "/readyz", "--request-timeout=10s"], capture_output=True,
                          text=True, check=False)
    return "" if done.returncode == 0 else f"the cluster of KUBECONFIG does not answer: {done.stderr.strip()}"


def run(*command, seconds=60, stdin=None):
    done = subprocess.run(command, input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
                          capture_output=True, text=True, timeout=seconds, check=False)
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(command)} exited with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


class Forward:
    """A port of 127.0.0.1 that leads to a port of a pod or Service, as long as that pod lives."""

    def __init__(self, kube, target, port):
        self.local = free_port()
        self.address = f"127.0.0.1:{self.local}"
        self._child = subprocess.Popen(["kubectl", "-n", kube.namespace, "port-forward", target,
                                        f"{self.local}:{port}"],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                       text=True, preexec_fn=die_with_parent)
        first = self._child.stdout.readline()
        if not first.startswith("Forwarding"):
            self.close()
            raise AssertionError(f"port-forward {target} {port}: {first.strip()}")
        threading.Thread(target=self._child.stdout.read, daemon=True).start()  # it talks about every connection

    def close(self):
        self._child.kill()
        self._child.wait()


class Pods:
    """Follows the pods of a selector: who was ready when, by the clock that agents use."""

    FORMAT = '{.metadata.uid} {.status.conditions[?(@.type=="Ready")].status} {.metadata.deletionTimestamp}{"\\n"}'

    def __init__(self, kube, selector):
        self.events = []  # (monotonic nanoseconds, uid, ready)
        self._child = subprocess.Popen(["kubectl", "-n", kube.namespace, "get", "pods", "-l", selector, "--watch",
                                        "-o", "jsonpath=" + self.FORMAT],
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                                       preexec_fn=die_with_parent)
        threading.Thread(target=self._read, daemon=True).start()
        wait_for(lambda: self.events, 10, "the first state of pods")

    def _read(self):
        for line in self._child.stdout:
            uid, *rest = line.split()
            self.events.append((time.monotonic_ns(), uid, rest[:1] == ["True"] and len(rest) == 1))

    def close(self):
        self._child.kill()
        self._child.wait()

    def unready(self):
        """Spans of time, in nanoseconds, in which none of the pods was ready; the last may be open (None)."""
        ready, spans = set(), []
        for at, uid, now in self.events:
            ready.discard(uid)
            if now:
                ready.add(uid)
            if not ready and (not spans or spans[-1][1] is not None):
                spans.append((at, None))
            elif ready and spans and spans[-1][1] is None:
                spans[-1] = (spans[-1][0], at)
        return spans


class Kube:
    """One namespace of the cluster."""

    def __init__(self, namespace):
        self.namespace = namespace

    def kubectl(self, *arguments, seconds=60, stdin=None):
        return run("kubectl", "-n", self.namespace, *arguments, seconds=seconds, stdin=stdin)

    def helm(self, *arguments, seconds=300):
        return run("helm", "-n", self.namespace, *arguments, seconds=seconds)

    def create(self):
        """The namespace, in which a pod that asks for a right too much is refused."""
        self.kubectl("create", "namespace", self.namespace)
        self.kubectl("label", "namespace", self.namespace, "pod-security.kubernetes.io/enforce=restricted")

    def delete(self):
        self.kubectl("delete", "namespace", self.namespace, "--wait=true", "--timeout=120s", seconds=150)

    def get(self, *what):
        return json.loads(self.kubectl("get", *what, "-o", "json"))

    def pods(self, selector):
        """Pods that are not being deleted, the oldest first."""
        items = [pod for pod in self.get("pods", "-l", selector)["items"]
                 if "deletionTimestamp" not in pod["metadata"]]
        return sorted(items, key=lambda pod: pod["metadata"]["creationTimestamp"])

    def forward(self, target, port):
        return Forward(self, target, port)

    def nodes(self):
        """Addresses of the nodes by which others reach them."""
        return [address["address"] for node in json.loads(run("kubectl", "get", "nodes", "-o", "json"))["items"]
                for address in node["status"]["addresses"] if address["type"] == "InternalIP"]

    def memory(self):
        """pod -> bytes that the kernel could not take back at once, as kubelets tell them."""
        found = {}
        for node in json.loads(run("kubectl", "get", "nodes", "-o", "json"))["items"]:
            name = node["metadata"]["name"]
            summary = json.loads(run("kubectl", "get", "--raw", f"/api/v1/nodes/{name}/proxy/stats/summary"))
            for pod in summary["pods"]:
                if pod["podRef"]["namespace"] == self.namespace and pod.get("containers"):
                    found[pod["podRef"]["name"]] = sum(container["memory"]["workingSetBytes"]
                                                       for container in pod["containers"] if "memory" in container)
        return found

    def logs(self, pod, *options):
        return self.kubectl("logs", pod, *options)


def processes_of(pod, program):
    """Process ids on this machine of a pod's program; none when the pod runs elsewhere."""
    uid, found = pod["metadata"]["uid"], []
    for path in glob.glob("/proc/[0-9]*/cgroup"):
        number = int(path.split("/")[2])
        try:
            with open(path, encoding="ascii") as cgroups, open(f"/proc/{number}/comm", encoding="utf-8") as name:
                if program.startswith(name.read().strip()) and re.search(f"pod{uid}|pod{uid.replace('-', '_')}",
                                                                        cgroups.read()):
                    found.append(number)
        except OSError:
            continue  # it has ended
    return found


def kill_9(pod, program):
    """Kills a pod's program as the kernel does. False when the pod runs on another machine."""
    numbers = processes_of(pod, program)
    for number in numbers:
        os.kill(number, signal.SIGKILL)
    return bool(numbers)
