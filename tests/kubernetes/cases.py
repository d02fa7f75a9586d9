"""The cases, in the order in which they run on one release."""

import os
import time

from cluster import wait_for
from disruptions import Disruptions
from paths import Paths
from release import IN_CLUSTER, NAME, READY_SECONDS, is_ready, part
from sdk import Agents

INSTALL_SECONDS = 90
MEMORY_MAX = 1 << 30
KEPT = 50
UNREAD = 1000
# Of the auth case alone.
USER = ("tester", "8f3b7a1c9d8e7f6a")
STRANGER = ("tester", "0000000000000000")
HTTP_PORT = 5557


def megabytes(number):
    return f"{number / (1 << 20):.0f} MiB"


class Cases:
    def __init__(self, release, languages, directory, report):
        self._release = release
        self._kube = release.kube
        self._languages = languages
        self._directory = directory
        self._report = report
        self._paths = Paths(release, languages, directory, report)
        self._disruptions = Disruptions(release, languages, directory, report)

    def all(self):
        """Name -> function; `install` comes before them."""
        return {"helm-test": self.helm_test, "paths": self.paths,
                "broker-deleted": self._disruptions.broker_deleted, "broker-killed": self._disruptions.broker_killed,
                "proxies-replaced": self._disruptions.proxies_replaced,
                "proxy-killed": self._disruptions.proxy_killed, "upgraded": self._disruptions.upgraded,
                "prometheus": self.prometheus, "memory": self.memory, "data-stays": self.data_stays,
                "foreign-volume": self.foreign_volume, "auth": self.auth}

    def install(self):
        """No value but where the images are."""
        seconds = self._release.install()
        self._report("helm install until everything is ready", f"{seconds:.1f} s")
        if seconds > INSTALL_SECONDS:
            raise AssertionError(f"ready after {seconds:.1f} s, not within {INSTALL_SECONDS} s")
        self._report("memory of all pods, idle", self._memory())

    def helm_test(self):
        self._report("helm test", f"{self._release.test():.1f} s")

    def _memory(self):
        """Waits until kubelets have looked at every pod."""
        pods = {pod["metadata"]["name"] for pod in self._kube.pods(f"app.kubernetes.io/instance={NAME}")}
        wait_for(lambda: pods <= self._kube.memory().keys(), 60, "kubelets tell the memory of every pod")
        used = {name: size for name, size in self._kube.memory().items() if name in pods}
        if sum(used.values()) > MEMORY_MAX:
            raise AssertionError(f"{megabytes(sum(used.values()))} in all: {used}")
        return (f"{megabytes(sum(used.values()))} ("
                + ", ".join(f"{name} {megabytes(size)}" for name, size in sorted(used.items())) + ")")

    def memory(self):
        self._report("memory of all pods, after the load", self._memory())

    def paths(self):
        self._paths.open_all()
        self._paths.use("authentication off")

    def auth(self):
        self._release.changed |= {
            "auth.users[0].accessKey": USER[0], "auth.users[0].secretKey": USER[1],
            "auth.clusterSecret": "0123456789abcdef0123456789abcdef"}
        self._paths.open_all()
        self._release.keys = USER
        self._paths.use("authentication on", keys=USER)
        address = self._release.endpoints()
        if address:
            self._paths.refused(address, STRANGER, "signature")
        self._report("authentication on: wrong key", "refused, with the reason")
        self._report("authentication on: helm test", f"{self._release.test():.1f} s")

    def _send(self, topic, count):
        with self._forwarded() as options, Agents(os.path.join(self._directory, topic)) as agents:
            sender = agents.start(self._languages[-1], "send", "sender", topic=topic, count=count, workers=4, **options)
            sender.wait(120)
            failed = [line for line in sender.of("send") if not line["ok"]]
            if failed:
                raise AssertionError(f"{len(failed)} sends failed, first: {failed[0]}")
            return {line["uid"] for line in sender.of("send")}

    def _forwarded(self):
        return Forwarded(self._release)

    def data_stays(self):
        """Uninstalled with unread messages, installed again: all of them are there."""
        self._release.create_topic("kept")
        self._release.create_group("keepers")
        sent = self._send("kept", KEPT)
        self._release.uninstall()
        claims = self._kube.get("persistentvolumeclaims")["items"]
        if len(claims) != 1:
            raise AssertionError(f"{len(claims)} volume claims are left, not 1")
        seconds = self._release.install()
        with self._forwarded() as options, Agents(os.path.join(self._directory, "kept-again")) as agents:
            reader = agents.start(self._languages[-1], "simple", "reader", topic="kept", group="keepers", wait=5,
                                  count=KEPT, **options)
            reader.wait(60)
            read = {line["uid"] for line in reader.of("deliver")}
        if read != sent:
            raise AssertionError(f"{len(sent & read)} of {len(sent)} messages are there after the second installation")
        self._report("uninstalled and installed again", f"ready after {seconds:.1f} s, all {KEPT} messages are there")

    def foreign_volume(self):
        """A broker of another name gets this one's volume: it says whose it is and does not start."""
        self._release.changed["broker.extraArgs[0]"] = "--broker.name=somebody-else"
        self._release.upgrade(wait=False)
        pod = f"{NAME}-broker-0-0"

        def failed():
            """What it said, once it has ended with something else than 0."""
            found = self._kube.get("pods", "--field-selector", f"metadata.name={pod}")["items"]
            states = found[0]["status"].get("containerStatuses", [{}])[0] if found else {}
            ended = [states.get(name, {}).get("terminated") for name in ("state", "lastState")]
            if any(end and end["exitCode"] != 0 for end in ended):
                return self._kube.logs(pod) + self._previous_log(pod)
            return ""
        try:
            log = wait_for(failed, READY_SECONDS, "the broker has ended with an error")
            lines = [line for line in log.splitlines() if "somebody-else" in line and f"{NAME}-broker-0" in line]
            if not lines:
                raise AssertionError(f"it does not say whose volume that is: {log[-1000:]}")
            self._report("a volume of another broker set", f"refused: `{lines[-1].strip()}`")
        finally:
            del self._release.changed["broker.extraArgs[0]"]
            self._release.upgrade(wait=False)
            # A broken pod of a StatefulSet is not replaced by itself.
            self._kube.kubectl("delete", "pod", pod, "--wait=true", seconds=150)
            wait_for(lambda: all(is_ready(pod) for pod in self._kube.pods(part("broker"))[:1] or [None]),
                     READY_SECONDS, "the broker is back")

    def _previous_log(self, pod):
        try:
            return self._kube.logs(pod, "--previous")
        except AssertionError:
            return ""  # it has ended once only

    def prometheus(self):
        """A Prometheus on this machine scrapes every pod and shows what was left unread."""
        from prometheus_server import PrometheusServer, program  # here: a machine may have none
        if not program("prometheus"):
            self._report("Prometheus", "skipped: no prometheus, see what scripts/install-test-deps says")
            return
        self._release.create_topic("unread")
        self._release.create_group("absent")
        # A group has a backlog of the topics that it has received from.
        self._send("unread", 1)
        with self._forwarded() as options, Agents(os.path.join(self._directory, "absent")) as agents:
            agents.start(self._languages[-1], "simple", "reader", topic="unread", group="absent", wait=5, count=1,
                         **options).wait(60)
        self._send("unread", UNREAD)
        forwards = []
        try:
            jobs = {}
            for component in ("nameserver", "broker", "proxy"):
                found = [self._kube.forward(f"pod/{pod['metadata']['name']}", HTTP_PORT)
                         for pod in self._kube.pods(part(component))]
                forwards += found
                jobs[component] = [forward.address for forward in found]
            with PrometheusServer(os.path.join(self._directory, "prometheus"), jobs) as prometheus:
                self._read_backlog(prometheus, len(forwards))
        finally:
            for forward in forwards:
                forward.close()

    def _read_backlog(self, prometheus, pods):
        def value(expression):
            found = prometheus.query(expression)
            return found[0].value if len(found) == 1 else None
        began = time.monotonic()
        wait_for(lambda: value("sum(up)") == pods, 60, lambda: f"{pods} pods answer: {value('sum(up)')}")
        backlog = 'millrace:group_topic_ready_messages:sum{consumer_group="absent", topic="unread"}'
        wait_for(lambda: value(backlog) == UNREAD, 60, lambda: f"{UNREAD} unread messages show: {value(backlog)}")
        self._report("Prometheus scrapes pods", f"{pods} of {pods}; {UNREAD} unread messages show as {UNREAD} "
                                                f"{time.monotonic() - began:.0f} s after its start")


class Forwarded:
    """Options of an agent that comes by a port-forward."""

    def __init__(self, release):
        self._release = release

    def __enter__(self):
        self._forward = self._release.kube.forward(f"service/{NAME}-proxy", 8081)
        options = {"endpoints": self._forward.address, "tls": "off"}
        if self._release.keys:
            options["keys_of"] = self._release.keys
        return options

    def __exit__(self, *_):
        self._forward.close()
