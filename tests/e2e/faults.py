"""Processes are killed and drained, and links broken, while every SDK sends and consumes."""

import collections
import os
import random
import time

from cluster import FiveCluster, UpCluster, wait_for
from load import Load
from relay import TO_CLIENT, TO_TARGET, Relay
from sdk import Agents, available

VICTIMS = ("proxy-1", "nameserver-1", "broker", "proxy-2", "broker", "nameserver-2")
SLOW_TOPIC = "slow"
SLOW_SECONDS = 20
SLOW_MESSAGES = 6
IDLE_SECONDS = 600


class SlowHandlers:
    """Push consumers that take 20 s per message: what they handle must not be delivered again."""

    def __init__(self, agents, cluster):
        cluster.create_topic(SLOW_TOPIC)
        cluster.create_group(SLOW_TOPIC)
        # The proxy that is killed first is the one that these clients try first.
        options = {"endpoints": cluster.endpoints(), "topic": SLOW_TOPIC, "tls": "off"}
        self._consumers = [agents.start(language, "push", f"{language}-slow", group=SLOW_TOPIC,
                                        handler_ms=SLOW_SECONDS * 1000, workers=SLOW_MESSAGES, **options)
                           for language in available()]
        for agent in self._consumers:
            agent.wait_ready()
        agents.start(available()[0], "send", "slow-sender", count=SLOW_MESSAGES, **options).wait(30)
        wait_for(lambda: len(self._of("deliver")) >= SLOW_MESSAGES, 30, "slow messages are delivered")

    def _of(self, op):
        return [line for agent in self._consumers for line in agent.of(op)]

    def check(self):
        wait_for(lambda: len({line["uid"] for line in self._of("handled")}) >= SLOW_MESSAGES,
                 2 * SLOW_SECONDS, "slow handlers end")
        time.sleep(2)
        deliveries = collections.Counter(line["uid"] for line in self._of("deliver"))
        again = {uid: count for uid, count in deliveries.items() if count > 1}
        if again:
            raise AssertionError(f"delivered again while their handlers ran: {again}")


def kill(directory, rounds, seed):
    """kill -9 of one process per round; the broker comes back on its directory."""
    rng = random.Random(seed)
    print(f"kill rounds: {rounds}, seed {seed}", flush=True)
    with FiveCluster(directory).start(seed) as cluster, Agents(os.path.join(directory, "agents")) as agents:
        slow = SlowHandlers(agents, cluster)
        load = Load(agents, cluster)
        for number in range(rounds):
            victim = VICTIMS[number % len(VICTIMS)]
            time.sleep(rng.uniform(0.5, 2))
            cluster.processes[victim].kill()
            time.sleep(rng.uniform(0.2, 1.5))
            cluster.restart(victim)
            load.wait_progress(f"kill -9 of {victim} in round {number + 1}")
            cluster.check_alive()
        slow.check()
        load.finish()
        cluster.check_alive()


def drain(directory, seed):
    """SIGTERM of each proxy in turn; the clients know both. No send fails at the SDK's caller."""
    with FiveCluster(directory).start(seed) as cluster, Agents(os.path.join(directory, "agents")) as agents:
        load = Load(agents, cluster, rate=50)
        for name in ("proxy-1", "proxy-2"):
            time.sleep(2)
            began = time.monotonic()
            code = cluster.processes[name].terminate()
            print(f"{name} exited with {code} {time.monotonic() - began:.1f} s after SIGTERM", flush=True)
            if code != 0:
                raise AssertionError(f"{name} exited with {code} after SIGTERM:\n"
                                     f"{cluster.processes[name].log_tail()}")
            load.wait_progress(f"SIGTERM of {name}")
            cluster.restart(name)
            load.wait_progress(f"the restart of {name}")
        failed = load.failed_sends()
        other = [line for line in agents.history() if line["op"] in ("ack", "receive", "change")
                 and not line["ok"]]
        print(f"sends {len(load.acknowledged())}, failed {len(failed)}; other calls failed {len(other)}",
              flush=True)
        if failed:
            raise AssertionError(f"{len(failed)} sends failed at the caller, first: {failed[0]}")
        load.finish()


def relay(directory, _seed):
    """Between clients and proxy: delay, swallow, half-close, cut, refuse."""
    with UpCluster(directory).start() as cluster, Relay(cluster.endpoints()) as link, \
            Agents(os.path.join(directory, "agents")) as agents:
        load = Load(agents, cluster, endpoints=link.address)
        faults = {"a delay of 100 ms": lambda: link.delay(0.1),
                  "a cut": link.cut,
                  "a half-close towards the proxy": lambda: link.half_close(TO_TARGET),
                  "a half-close towards the clients": lambda: link.half_close(TO_CLIENT),
                  "swallowed answers": lambda: link.swallow(TO_CLIENT),
                  "swallowed requests": lambda: link.swallow(TO_TARGET),
                  "refused connections": link.refuse}
        for name, fault in faults.items():
            fault()
            time.sleep(2)
            link.heal()
            load.wait_progress(name)
        # A swallowed answer leaves its messages with a push consumer that never saw them and lives on:
        # they come back when the group's limit of renewal is reached. So this group is not waited for.
        load.finish(drained=("simple",))
        load.report_lacking("push")
        cluster.check_alive()


def idle(directory, seed):
    """Ten minutes without a message: every consumer is still connected, and gets the next one at once."""
    with FiveCluster(directory).start(seed) as cluster, Agents(os.path.join(directory, "agents")) as agents:
        cluster.create_topic("idle")
        options = {"endpoints": cluster.endpoints(), "topic": "idle", "tls": "off"}
        consumers = []
        for language in available():
            cluster.create_group(f"idle-{language}")
            consumers.append(agents.start(language, "push", language, group=f"idle-{language}", count=1, **options))
        for agent in consumers:
            agent.wait_ready()
        time.sleep(IDLE_SECONDS)
        agents.start(available()[0], "send", "sender", count=1, **options).wait(30)
        for agent in consumers:
            agent.wait(60)
            if len(agent.of("deliver")) != 1:
                raise AssertionError(f"{agent.name} has {agent.summary()} after {IDLE_SECONDS} idle seconds")


def suites(kind, directory, long, seed):
    """(name, function) of the cases of e2e_kill, e2e_drain, e2e_relay or e2e_idle."""
    def run(attempt):
        place = os.path.join(directory, f"{kind}-{attempt}")
        if kind == "kill":
            kill(place, 20 if long else 3, seed)
        else:
            {"drain": drain, "relay": relay, "idle": idle}[kind](place, seed)
    yield kind, run
