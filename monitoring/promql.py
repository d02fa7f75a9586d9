"""Pieces of PromQL that panels share: selectors by the variables of a dashboard, rates, sums, percentiles."""

from monitoring.grafana import Query

GROUP_TOPIC = "consumer_group, topic"


def of(metric, *matchers, node=True):
    """A selector: the chosen cluster and namespace, the chosen nodes, and `matchers`."""
    common = ['cluster=~"$cluster"', 'namespace=~"$namespace"'] + (['node_id=~"$node"'] if node else [])
    return metric + "{" + ",".join([*common, *matchers]) + "}"


def of_users(metric, *matchers):
    """Without system topics and groups; of the chosen topics and groups where the metric has these labels."""
    return of(metric, 'is_system="false"', *matchers)


TOPIC = 'topic=~"$topic"'
GROUP = 'consumer_group=~"$group"'
SEND = 'method="SendMessage"'
# Codes that are no fault of the caller.
FAILURES = 'code=~"INTERNAL.*|.*TIMEOUT|TOO_MANY_REQUESTS|HA_NOT_AVAILABLE"'


def backlog(metric):
    return of_users(metric, GROUP, TOPIC)


def rate(selector, window="$__rate_interval"):
    return f"rate({selector}[{window}])"


def total(expr, *labels):
    return f"sum by ({', '.join(labels)}) ({expr})" if labels else f"sum({expr})"


def quantile(q, selector, *labels):
    return f"histogram_quantile({q}, {total(rate(selector), 'le', *labels)})"


def percentiles(selector):
    """p50, p95 and p99 over everything that is selected."""
    return [Query(quantile(q, selector), name) for q, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))]


def ratio(part, whole):
    """0 while nothing happens at all."""
    return f"({part} or vector(0)) / ({whole} > 0) or vector(0)"


def alike(expr, on, lag=None):
    """`expr`, which has the label `on` only, for every group and topic, so that it can be a column beside them."""
    rows = total(lag or backlog("rocketmq_consumer_lag_messages"), GROUP_TOPIC)
    return f"{rows} * 0 + on ({on}) group_left () {expr}"


def clients():
    """A client that several brokers know is one client."""
    return f"max by (consumer_group) ({of_users('millrace_consumer_group_online_clients', GROUP)})"


def until_drained():
    """Seconds until nothing is ready at the pace of the last five minutes: 0 when nothing is, infinite when it "
    "grows."""
    ready = total(backlog("rocketmq_consumer_ready_messages"), GROUP_TOPIC)
    slope = total(f"deriv({backlog('rocketmq_consumer_ready_messages')}[5m])", GROUP_TOPIC)
    return f"({ready} > 0) / clamp_min(-{slope}, 0) or {ready} * 0"
