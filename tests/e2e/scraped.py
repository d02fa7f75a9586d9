"""A Prometheus scrapes running processes under load: every panel and rule has data, and the numbers are true."""

import os
import time

from cluster import FiveCluster, ROOT, wait_for
from prometheus_server import PrometheusServer, program
from sdk import Agents, available

from monitoring import pictures  # found beside prometheus_server's imports
from monitoring.dashboards import DASHBOARDS
from monitoring.drawing import table_rows
from monitoring.prometheus import expand, panels, variables

UNREAD = 1000
DATA_SECONDS = 30
SHOW_SECONDS = 240
JOBS = {"nameserver": ("nameserver-1", "nameserver-2"), "broker": ("broker",), "proxy": ("proxy-1", "proxy-2")}


def missing():
    """What is missing, as text; '' when a Prometheus can run."""
    absent = [name for name in ("prometheus", "promtool") if not program(name)]
    return f"no {' and no '.join(absent)}: see what scripts/install-test-deps says" if absent else ""


def scrape(cluster, directory):
    jobs = {job: [cluster.http[name] for name in names] for job, names in JOBS.items()}
    return PrometheusServer(os.path.join(directory, "prometheus"), jobs)


def language():
    """The lightest agent there is."""
    return next(name for name in ("go", "python", "java") if name in available())


class Shop:
    """Topics and groups as a shop has them: one group keeps up, one does not, one fails, one has no consumers."""

    def __init__(self, cluster, agents, rate=40):
        self._cluster = cluster
        self._agents = agents
        for topic in ("orders", "payments", "clicks"):
            cluster.create_topic(topic)
        for group in ("billing", "shipping", "ledger", "reports"):
            cluster.create_group(group)
        cluster.create_group("fraud", max_attempts=2, backoff="200,200")
        # More than a push consumer holds, so that the slow group has ready messages all the time.
        self.start("send", "yesterday", topic="orders", count=2500, workers=8, sizes="300").wait(60)
        self.start("push", "billing", group="billing", topic="orders", workers=4)
        # 2 workers of 100 ms each manage 20 per second.
        self.start("push", "shipping", group="shipping", topic="orders", workers=2, handler_ms=100)
        self.start("push", "ledger", group="ledger", topic="payments", workers=4, handler_ms=5)
        self.start("push", "fraud", group="fraud", topic="payments", workers=2, fail="all")
        # Receives and forgets: its messages come back when their time is over.
        self.start("simple", "reports", group="reports", topic="clicks", invisible=10, wait=1, batch=4, action="none")
        self.start("send", "orders", topic="orders", rate=rate, workers=2, sizes="200,1500,400")
        self.start("send", "payments", topic="payments", rate=rate // 8, workers=1, sizes="300")
        self.start("send", "clicks", topic="clicks", rate=rate // 2, workers=1, sizes="120")

    def start(self, command, name, **options):
        agent = self._agents.start(language(), command, name, endpoints=self._cluster.endpoints(), tls="off", **options)
        agent.wait_ready()
        return agent


def number(prometheus, expr, values=None):
    """The value of an expression with one series, None without any."""
    found = prometheus.query(expand(expr, values))
    if len(found) > 1:
        raise AssertionError(f"{len(found)} series, not one: {expr}")
    return found[0].value if found else None


def wait_number(prometheus, expr, wanted, what, seconds=DATA_SECONDS):
    seen = []

    def equal():
        seen[:] = [number(prometheus, expr)]
        return seen[0] == wanted
    wait_for(equal, seconds, lambda: f"{what}: {expr} is {seen[0]}, not {wanted}")


def backlog_row(prometheus, group):
    """heading -> value of the group's line in the table of the dashboard Backlog."""
    panel = next(panel for panel in panels(DASHBOARDS["millrace-backlog"]) if panel["title"] == "Groups and topics")
    answers = [prometheus.query(expand(target["expr"], {"group": group})) for target in panel["targets"]]
    headings, rows = table_rows(panel, answers)
    return dict(zip(headings, rows[0])) if len(rows) == 1 else {}


def of_group(metric, group="readers"):
    return f'sum({metric}{{consumer_group="{group}"}})'


def unread_messages(cluster, agents, prometheus, shop):
    """1,000 unread messages are 1,000; with the consumers gone, and after kill -9 of the broker, still; read: 0."""
    cluster.create_topic("letters")
    cluster.create_group("readers")
    ready, lag = of_group("rocketmq_consumer_ready_messages"), of_group("rocketmq_consumer_lag_messages")
    online = of_group("millrace_consumer_group_online_clients")
    holder = shop.start("simple", "holder", group="readers", topic="letters", invisible=10, wait=1, action="none",
                        close="on")
    wait_number(prometheus, online, 1, "a consumer is there")
    wait_number(prometheus, lag, 0, "nothing is unread before the first message")
    shop.start("send", "letters", topic="letters", count=UNREAD, workers=8).wait(60)
    wait_number(prometheus, lag, UNREAD, "with a consumer that acknowledges nothing")
    wait_number(prometheus, 'sum(rocketmq_messages_in_total{topic="letters"})', UNREAD, "stored")
    holder.stop()
    wait_number(prometheus, online, 0, "the consumer is gone")
    wait_number(prometheus, ready, UNREAD, "without a consumer all are ready again")
    row = backlog_row(prometheus, "readers")
    seen = {key: row.get(key) for key in ("Topic", "Unfinished", "Ready", "In flight", "Consumers")}
    if seen != {"Topic": "letters", "Unfinished": UNREAD, "Ready": UNREAD, "In flight": 0, "Consumers": 0}:
        raise AssertionError(f"the table of the dashboard Backlog shows {row}")
    cluster.processes["broker"].kill()
    cluster.restart("broker")
    restarted = f"max(process_start_time_seconds{{node_type='broker'}}) > {time.time() - 15:.0f}"
    wait_for(lambda: prometheus.query(restarted), DATA_SECONDS, "the restarted broker is scraped")
    wait_number(prometheus, ready, UNREAD, "after a restart of the broker")
    shop.start("simple", "reader", group="readers", topic="letters", invisible=30, wait=1, batch=32, workers=4,
               action="ack", count=UNREAD).wait(60)
    wait_number(prometheus, lag, 0, "all are read")
    wait_number(prometheus, of_group("millrace_messages_acknowledged_total"), UNREAD, "acknowledged after the restart")
    print(f"{UNREAD} unread messages were {UNREAD} with a consumer, without one, and after a kill -9; read: 0",
          flush=True)


def empty_queries(prometheus):
    """The panel queries, variables and rules that have no data now, as text."""
    empty = []
    for name, dashboard in DASHBOARDS.items():
        for variable, query in variables(dashboard).items():
            # Without Kubernetes there is no namespace.
            if not prometheus.label_values(query) and variable != "namespace":
                empty.append(f"{name}, variable {variable}: {query}")
        for panel in panels(dashboard):
            for target in panel["targets"]:
                if not prometheus.query(expand(target["expr"])):
                    empty.append(f"{name}, {panel['title']}: {target['expr']}")
    for rule in rules(prometheus):
        if rule["type"] == "recording" and not prometheus.query(rule["name"]):
            empty.append(f"recording rule {rule['name']}")
    return empty


def rules(prometheus):
    return [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]


def all_have_data(prometheus):
    queries = sum(len(panel["targets"]) for board in DASHBOARDS.values() for panel in panels(board))
    seen = []

    def complete():
        seen[:] = empty_queries(prometheus)
        return not seen
    wait_for(complete, DATA_SECONDS, lambda: "no data:\n  " + "\n  ".join(seen))
    unhealthy = [f"{rule['name']}: {rule.get('lastError', rule['health'])}" for rule in rules(prometheus)
                 if rule["health"] != "ok"]
    if unhealthy:
        raise AssertionError(f"rules that cannot be evaluated: {unhealthy}")
    print(f"{queries} panel queries and {len(rules(prometheus))} rules: data in all", flush=True)


def panels_and_rules(directory):
    with FiveCluster(directory).start() as cluster, Agents(os.path.join(directory, "agents")) as agents, \
            scrape(cluster, directory) as prometheus:
        shop = Shop(cluster, agents)
        unread_messages(cluster, agents, prometheus, shop)
        refused_send(cluster)
        all_have_data(prometheus)
        now = time.time()
        for path in pictures.draw_all(prometheus, os.path.join(directory, "pictures"), now - 60, now):
            if "no data" in path.read_text():
                raise AssertionError(f"a panel of {path} was drawn without data")
        cluster.check_alive()


def refused_send(cluster):
    """An answer other than OK, so that panels of these have something to show."""
    try:
        cluster.run("message", "send", "nowhere", "--body", "x", "--proxy", cluster.address("proxy-1"))
    except AssertionError:
        return
    raise AssertionError("a send to a topic that does not exist was accepted")


def show(directory, out):
    """Four minutes of a shop with a bad day, drawn for the documentation."""
    with FiveCluster(directory).start(1) as cluster, Agents(os.path.join(directory, "agents")) as agents, \
            scrape(cluster, directory) as prometheus:
        began = time.time()
        shop = Shop(cluster, agents, rate=60)
        time.sleep(SHOW_SECONDS / 4)
        # A flood of orders, and nobody who ships them.
        shop.start("send", "sale", topic="orders", rate=200, count=int(SHOW_SECONDS / 6 * 200), workers=4, sizes="400")
        time.sleep(SHOW_SECONDS / 4)
        refused_send(cluster)
        helpers = [shop.start("push", f"shipping-{number}", group="shipping", topic="orders", workers=16,
                              handler_ms=100) for number in range(2)]
        time.sleep(SHOW_SECONDS / 2)
        for path in pictures.draw_all(prometheus, out, began, time.time()):
            print(f"{os.path.relpath(path, ROOT)}: {os.path.getsize(path)} bytes", flush=True)
        for helper in helpers:
            helper.tell_stop()


def suites(directory, pictures_out):
    def run(attempt):
        place = os.path.join(directory, f"monitoring-{attempt}")
        if pictures_out:
            show(place, pictures_out)
        else:
            panels_and_rules(place)
    yield "monitoring", run
