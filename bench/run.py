#!/usr/bin/env python3
"""make bench: what sends, receives and acknowledgements cost, as ratios of runs made side by side.

Starts nameserver, broker and proxy as separate processes and, beside them, the cheapest gRPC C++ server (bare_server),
once with one thread and once with two; ratios are to the cheaper of both. Each pair runs all under the same load; CPU
is user + system time of /proc/PID/stat per message. Medians of the pairs are printed as a Markdown table. Refuses to
start when the machine is busy, and when another run holds the lock.
"""
import argparse
import fcntl
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
TICKS = os.sysconf("SC_CLK_TCK")
LOAD_MAX = 0.5


class Process:
    def __init__(self, *command):
        self.child = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                      text=True)
        self.ready = self.child.stdout.readline()
        if not self.ready.startswith("ready:"):
            raise SystemExit(f"{command[0]} did not start: {self.ready!r}")

    def address(self, name):
        return re.search(rf"{name}=(\S+)", self.ready).group(1)

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def stop(self):
        self.child.terminate()
        self.child.wait(20)


class Cluster:
    def __init__(self, flush):
        self.data = tempfile.mkdtemp(prefix="millrace-bench-", dir=ROOT / "build")
        free = "127.0.0.1:0"
        self.nameserver = Process(BUILD / "bin/millrace-nameserver", "--nameserver.listen", free, "--http.listen", free)
        names = self.nameserver.address("grpc")
        self.broker = Process(BUILD / "bin/millrace-broker", "--broker.listen", free, "--broker.data", self.data,
                              "--metadata.home", "broker-a", "--nameserver.addresses", names, "--http.listen", free,
                              "--store.flush", flush)
        self.proxy = Process(BUILD / "bin/millrace-proxy", "--proxy.listen", free, "--admin.listen", free,
                             "--nameserver.addresses", names, "--http.listen", free)
        self.cli("topic", "create", "bench", "--queues", "8")
        self.cli("group", "create", "bench")

    def cli(self, *arguments):
        command = [str(BUILD / "bin/millrace"), *arguments, "--admin", self.proxy.address("admin")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def metrics(self):
        values = {}
        for process in (self.broker, self.proxy):
            page = urllib.request.urlopen(f"http://{process.address('http')}/metrics").read().decode()
            for line in page.splitlines():
                if not line.startswith("#"):
                    name, value = line.rsplit(" ", 1)
                    values[name.split("{")[0]] = float(value)
        return values

    def stop(self):
        for process in (self.proxy, self.broker, self.nameserver):
            process.stop()
        shutil.rmtree(self.data)


def load(target, *arguments):
    command = [str(BUILD / "bench/load"), target, *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    result = json.loads(done.stdout)
    if result["failed"]:
        raise SystemExit(f"{' '.join(command)}: {result}")
    return result


def cost(processes, work):
    """CPU microseconds per message of each process, and what the work returned."""
    before = [p.cpu_seconds() for p in processes]
    result = work()
    return [1e6 * (p.cpu_seconds() - b) / result["ok"] for p, b in zip(processes, before)], result


def sends(cluster, bares, in_flight, pairs, seconds):
    ours, theirs, ratios, rates, frames, syncs = [], [], [], [], [], []
    for _ in range(pairs):
        m0 = cluster.metrics()
        mine, result = cost([cluster.proxy, cluster.broker],
                            lambda: load(cluster.proxy.address("proxy"), "send", "bench", in_flight, seconds))
        m1 = cluster.metrics()
        plain = [cost([bare], lambda: load(bare.address("grpc"), "send", "bench", in_flight, seconds))[0][0]
                 for bare in bares]
        ours.append(mine)
        theirs.append(plain)
        ratios.append(sum(mine) / min(plain))
        rates.append(result["ok"] / result["seconds"])
        grown = lambda name: m1.get(name, 0) - m0.get(name, 0)
        frames.append(grown("millrace_link_records_in_total") / max(1, grown("millrace_link_frames_in_total")))
        syncs.append(result["ok"] / max(1, grown("millrace_commitlog_syncs_total")))
    middle = statistics.median
    cells = [f"{in_flight}", f"{middle(rates):,.0f}"]
    cells += [f"{middle(c[i] for c in costs):.1f}" for costs in (ours, theirs) for i in (0, 1)]
    cells += [f"**{middle(ratios):.2f}**", f"{middle(frames):.1f}", f"{middle(syncs):.1f}"]
    return "| " + " | ".join(cells) + " |"


def consume(cluster, acks, pairs, count):
    costs, rates = [], []
    for _ in range(pairs):
        load(cluster.proxy.address("proxy"), "send", "bench", 64, max(1, count / 20_000))
        mine, result = cost([cluster.proxy, cluster.broker],
                            lambda: load(cluster.proxy.address("proxy"), "consume", "bench", "bench", acks, count, 60))
        costs.append(mine)
        rates.append(result["ok"] / result["seconds"])
    middle = statistics.median
    return f"| {acks} | {middle(rates):,.0f} | {middle(c[0] for c in costs):.1f} | {middle(c[1] for c in costs):.1f} |"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--in-flight", default="1,16,64,256")
    parser.add_argument("--flush", default="sync,async")
    arguments = parser.parse_args()
    lock = open(ROOT / "build" / "bench.lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SystemExit("another benchmark run holds build/bench.lock; wait for it")
    if os.getloadavg()[0] > LOAD_MAX:
        raise SystemExit(f"the load average is {os.getloadavg()[0]:.2f}, above the limit {LOAD_MAX}; "
                         "stop what runs and try again")
    bares = [Process(BUILD / "bench/bare_server", "0", threads) for threads in ("1", "2")]
    for flush in arguments.flush.split(","):
        cluster = Cluster(flush)
        effective = "sync" if cluster.metrics().get("millrace_store_flush_sync") == 1 else "async"
        print(f"\nSendMessage 1 KiB, store.flush {effective} (read back), {arguments.pairs} pairs of "
              f"{arguments.seconds} s, CPU in us per message\n")
        print("| in flight | sends/s | proxy | broker | bare, 1 thread | bare, 2 threads | (proxy + broker) / cheaper "
              "bare | records per frame | sends per fdatasync |")
        print("|---|---|---|---|---|---|---|---|---|")
        for in_flight in map(int, arguments.in_flight.split(",")):
            print(sends(cluster, bares, in_flight, arguments.pairs, arguments.seconds), flush=True)
        print("\n| acks in flight | received and acknowledged/s | proxy | broker |\n|---|---|---|---|")
        for acks in (1, 32):
            print(consume(cluster, acks, arguments.pairs, 4_000), flush=True)
        cluster.stop()
    for bare in bares:
        bare.stop()


if __name__ == "__main__":
    sys.exit(main())
