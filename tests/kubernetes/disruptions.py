"""What is killed, deleted, scaled and rolled while SDKs send and consume; nothing acknowledged may be lost."""

import os
import time

from cluster import wait_for
from kube import Pods, kill_9
from load import Load
from release import IN_CLUSTER, NAME, READY_SECONDS, is_ready, part
from sdk import Agents

RATE = 50
SETTLE_SECONDS = 5
# A send that began while the broker was away may be told so after the SDK's own time-out.
TOLD_NANOS = 6_000_000_000


def longest_silence(senders, since):
    """Longest time without an acknowledged send of any sender, in seconds, after `since`."""
    ends = sorted(line["end"] for agent in senders for line in agent.of("send") if line["ok"] and line["end"] > since)
    return max((after - before for before, after in zip([since, *ends], ends)), default=0) / 1e9


class UnderLoad:
    """A load around one disruption, and what it meant to clients."""

    def __init__(self, release, languages, directory, name):
        self._directory = os.path.join(directory, name)
        self._agents = Agents(self._directory, IN_CLUSTER)
        self._release = release
        self._languages = languages
        self._suffix = f"-{name}"

    def __enter__(self):
        self.load = Load(self._agents, self._release, rate=RATE, languages=self._languages, suffix=self._suffix)
        time.sleep(2)
        self.since = time.monotonic_ns()
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.load.wait_progress("all of it")
                self.silence = longest_silence(self.load.senders, self.since)
                self.load.finish()
                self.failed = self.load.failed_sends()
                self.sent = len(self.load.acknowledged())
        finally:
            self._agents.__exit__()

    def text(self):
        return (f"{self.sent} sends acknowledged, none lost; {len(self.failed)} failed; "
                f"longest time without an answered send {self.silence:.2f} s")

    def none_failed(self):
        if self.failed:
            raise AssertionError(f"{len(self.failed)} sends failed at their callers, first: {self.failed[0]}")


class Disruptions:
    def __init__(self, release, languages, directory, report):
        self._release = release
        self._kube = release.kube
        self._languages = languages
        self._directory = directory
        self._report = report

    def _load(self, name):
        return UnderLoad(self._release, self._languages, self._directory, name)

    def _broker(self):
        return self._kube.pods(part("broker"))[0]

    def _volume(self):
        claim = f"data-{NAME}-broker-0-0"
        return self._kube.get("persistentvolumeclaim", claim)["spec"]["volumeName"]

    def _wait_broker(self, uid=None, restarts=None):
        """Until a broker is ready that is not pod `uid`, or has been restarted more often than `restarts`."""
        def back():
            pods = self._kube.pods(part("broker"))
            return pods and is_ready(pods[0]) and (
                pods[0]["metadata"]["uid"] != uid if uid else
                pods[0]["status"]["containerStatuses"][0]["restartCount"] > restarts)
        wait_for(back, READY_SECONDS, "the broker is back")

    def broker_deleted(self):
        volume, began = self._volume(), self._broker()["metadata"]["uid"]
        with self._load("broker-deleted") as load:
            at = time.monotonic()
            self._kube.kubectl("delete", "pod", f"{NAME}-broker-0-0", "--wait=false")
            self._wait_broker(uid=began)
            ready = time.monotonic() - at
        if self._volume() != volume:
            raise AssertionError(f"the broker is back with volume {self._volume()}, not {volume}")
        self._report("broker pod deleted", f"ready again after {ready:.1f} s, same volume; {load.text()}")

    def broker_killed(self):
        pod = self._broker()
        with self._load("broker-killed") as load:
            at = time.monotonic()
            if not kill_9(pod, "millrace-broker"):
                self._report("broker killed with -9", "skipped: its process is not on this machine")
                return
            self._wait_broker(restarts=pod["status"]["containerStatuses"][0]["restartCount"])
            ready = time.monotonic() - at
        self._report("broker killed with -9", f"ready again after {ready:.1f} s; {load.text()}")

    def proxies_replaced(self):
        """Deleted one by one, 2 -> 4 -> 1 -> 2, rolled: no send fails at its caller."""
        began = time.monotonic()
        with self._load("proxies-replaced") as load:
            for pod in self._kube.pods(part("proxy")):
                self._kube.kubectl("delete", "pod", pod["metadata"]["name"], seconds=120)
                self._release.settle()
                load.load.wait_progress(f"the end of {pod['metadata']['name']}")
            for replicas in (4, 1, 2):
                self._kube.kubectl("scale", "deployment", f"{NAME}-proxy", f"--replicas={replicas}")
                self._release.settle()
                load.load.wait_progress(f"{replicas} proxies")
            self._kube.kubectl("rollout", "restart", f"deployment/{NAME}-proxy")
            self._kube.kubectl("rollout", "status", f"deployment/{NAME}-proxy", seconds=READY_SECONDS)
            self._release.settle()
        self._report("proxies deleted, scaled 2, 4, 1, 2, rolled",
                     f"{time.monotonic() - began:.0f} s in all; {load.text()}")
        load.none_failed()

    def proxy_killed(self):
        pod = self._kube.pods(part("proxy"))[0]
        with self._load("proxy-killed") as load:
            for pod in self._kube.pods(part("proxy")):
                if not kill_9(pod, "millrace-proxy"):
                    self._report("proxies killed with -9", "skipped: their processes are not on this machine")
                    return
                time.sleep(SETTLE_SECONDS)
                self._release.settle()
        self._report("both proxies killed with -9, one after the other", load.text())

    def upgraded(self):
        """Everything restarts. Sends may fail while the one broker is away, and only then."""
        began = time.monotonic()
        broker = Pods(self._kube, part("broker"))
        try:
            with self._load("upgraded") as load:
                self._release.changed["commonLabels.round"] = "second"
                self._release.upgrade()
                took = time.monotonic() - began
                time.sleep(SETTLE_SECONDS)
            away = broker.unready()
        finally:
            broker.close()
        seconds = sum(end - start for start, end in away) / 1e9
        self._report("upgrade that restarts everything",
                     f"{took:.0f} s; broker away for {seconds:.1f} s; {load.text()}")
        outside = [line for line in load.failed
                   if not any(line["end"] >= start and line["start"] <= end + TOLD_NANOS for start, end in away)]
        if outside:
            raise AssertionError(f"{len(outside)} sends failed while the broker was there: {outside[0]}")
