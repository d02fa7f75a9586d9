"""A load of every SDK that goes on while a test breaks things, and the check at its end."""

import time

from cluster import wait_for
from exchange import verify
from sdk import available

TOPIC = "load"
GROUPS = ("simple", "push")
RECOVER_SECONDS = 30
# The longest way back to a consumer: its client is declared dead after 60 s, then the message waits.
DRAIN_SECONDS = 100


class Load:
    """Per language a sender, and one consumer in each of two groups: simple and push.

    `suffix` of the names of topic and groups: a load on a cluster that has had another one.
    """

    def __init__(self, agents, cluster, endpoints=None, rate=30, languages=None, suffix=""):
        self.agents = agents
        self.cluster = cluster
        self.endpoints = endpoints or cluster.endpoints()
        self.languages = languages or available()
        self.topic = TOPIC + suffix
        self._suffix = suffix
        cluster.create_topic(self.topic)
        for group in GROUPS:
            cluster.create_group(group + suffix)
        self.consumers = []
        for language in self.languages:
            self.consumers.append(self._start(language, "simple", group="simple" + suffix, invisible=10, wait=5,
                                              workers=2))
            self.consumers.append(self._start(language, "push", group="push" + suffix, workers=4))
        self.senders = [self._start(language, "send", rate=rate, workers=4, sizes="200,1,5000")
                        for language in self.languages]
        for agent in self.senders + self.consumers:
            agent.wait_ready()
        self.wait_progress("the start")

    def _start(self, language, command, **options):
        return self.agents.start(language, command, f"{language}-{command}", endpoints=self.endpoints,
                                 topic=self.topic, tls="off", **options)

    def wait_progress(self, what):
        """Every sender has a send acknowledged, and every group a delivery, that began after now."""
        since = time.monotonic_ns()
        for agent in self.senders:
            wait_for(lambda: any(line["ok"] and line["start"] > since for line in agent.of("send")),
                     RECOVER_SECONDS, lambda: f"{agent.name} sends after {what}: {agent.summary()}")
        for group in GROUPS:
            wait_for(lambda: any(line["t"] > since for agent in self.consumers for line in
                                 agent.of("deliver") if line["group"] == group + self._suffix),
                     RECOVER_SECONDS, f"group {group} receives after {what}")

    def acknowledged(self):
        return {line["uid"] for agent in self.senders for line in agent.of("send") if line["ok"]}

    def failed_sends(self):
        return [line for agent in self.senders for line in agent.of("send") if not line["ok"]]

    def _lacking(self, agents, group):
        seen = {line["uid"] for agent in agents for line in agent.of("deliver")
                if line["group"] == group + self._suffix}
        return self.acknowledged() - seen

    def finish(self, drained=GROUPS):
        """Stops the senders, lets groups drain, reads the whole topic once more, and checks."""
        for agent in self.senders:
            agent.stop()
        groups = list(drained)
        for group in groups:
            self._drain(self.consumers, group)
        if "python" in self.languages:  # it sees queue and offset of each message
            audit = self.agents.start("python", "simple", "audit", endpoints=self.cluster.endpoints(),
                                      topic=self.topic, group="audit" + self._suffix, tls="off", wait=5, workers=4)
            self._drain([audit], "audit")
            groups.append("audit")
        lines = self.agents.history()
        lines += [{"op": "group", "group": group + self._suffix, "topic": self.topic, "drained": True}
                  for group in groups]
        print(verify(lines, strict=False).text(), flush=True)

    def report_lacking(self, group):
        lacking = len(self._lacking(self.consumers, group))
        print(f"group {group} lacks {lacking}: {self.cluster.describe_group(group + self._suffix)}", flush=True)

    def _drain(self, agents, group):
        """Waits until nothing is lacking, or nothing comes any more: the checker says what is missing."""
        deadline = time.monotonic() + DRAIN_SECONDS
        while self._lacking(agents, group) and time.monotonic() < deadline:
            time.sleep(0.2)
        seen = -1
        while (now := sum(len(agent.of("deliver")) for agent in agents)) != seen:
            seen = now
            time.sleep(2)
