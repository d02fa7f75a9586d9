#!/usr/bin/env python3
"""Millrace's four Grafana dashboards. docs/metrics.md has the metrics, docs/monitoring.md what the dashboards are for.

    python3 monitoring/dashboards.py            writes helm/millrace/files/dashboards/*.json
    python3 monitoring/dashboards.py --check    exit code 1 when they are not what this file says

No panel needs the recording rules, except those named "time until drained" and "consumers needed".
"""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from monitoring.grafana import (  # noqa: E402 (the path comes first)
    BYTES, BYTES_PER_SECOND, MILLISECONDS, NUMBER, PER_SECOND, RATIO, SECONDS, Column, Query, bars, dashboard, graph,
    heatmap, row, stat, table, variable)
from monitoring.promql import (  # noqa: E402
    FAILURES, GROUP, GROUP_TOPIC, SEND, TOPIC, alike, backlog, clients, of, of_users, percentiles, quantile, rate,
    ratio, total, until_drained)

OUT = ROOT / "helm" / "millrace" / "files" / "dashboards"

WHICH = [
    variable("cluster", "Cluster", "label_values(rocketmq_topic_number, cluster)"),
    variable("namespace", "Namespace", 'label_values(rocketmq_topic_number{cluster=~"$cluster"}, namespace)'),
    variable("node", "Node", 'label_values(millrace_build_info{namespace=~"$namespace"}, node_id)'),
]
WHICH_BACKLOG = [
    *WHICH,
    variable("group", "Group", f"label_values({of_users('rocketmq_consumer_lag_messages')}, consumer_group)"),
    variable("topic", "Topic", f"label_values({of_users('rocketmq_messages_in_total')}, topic)"),
]

USED = (f"max({of('rocketmq_storage_size_bytes')} / on (cluster, namespace, node_id) "
        f"{of('millrace_storage_capacity_bytes')})")
AGE_LIMITS = [(300, "orange"), (1800, "red")]


def overview():
    lag = of_users("rocketmq_consumer_lag_messages")
    alive = f"max by (consumer_group) ({of_users('millrace_consumer_group_online_clients')})"
    dead_groups = f"count({total(lag, 'consumer_group')} > 0 and on (consumer_group) {alive} == 0) or vector(0)"
    errors = total(rate(of("millrace_proxy_requests_total", SEND, FAILURES), "5m"))
    sends = total(rate(of("millrace_proxy_requests_total", SEND), "5m"))
    health = row(
        "Health",
        stat(
            "Brokers",
            "Brokers with permission to read and write. One that is missing is down, or its volume is full, or its "
            "log has failed.",
            NUMBER, f"count({of('rocketmq_broker_permission')} == 6) or vector(0)", width=2),
        stat(
            "Proxies",
            "Proxies that answer a scrape.",
            NUMBER, f"{total(of('rocketmq_proxy_up'))} or vector(0)", width=2),
        stat(
            "Oldest unfinished",
            "The age of the oldest message that some group has not finished. This, not a count of messages, says "
            "whether somebody waits.",
            SECONDS, f"max({of_users('rocketmq_consumer_lag_latency_milliseconds')}) / 1000 or vector(0)", AGE_LIMITS,
            width=4),
        stat(
            "Unfinished",
            "Sum over all groups: ready, in flight and waiting.",
            NUMBER, f"{total(lag)} or vector(0)", width=3),
        stat(
            "Groups without consumers",
            "Groups that have unfinished messages and no client that is alive.",
            NUMBER, dead_groups, [(1, "red")], width=4),
        stat(
            "Dead letters, 1 h",
            "Messages that used up their attempts in the last hour.",
            NUMBER,
            f"round({total('increase(' + of_users('rocketmq_send_to_dlq_messages_total') + '[1h])')}) or vector(0)",
            [(1, "orange")], width=3, decimals=0),
        stat(
            "Failed sends, 5 m",
            "Sends that failed for a reason that is not the caller's, as a part of all.",
            RATIO, ratio(errors, sends), [(0.001, "orange"), (0.01, "red")], width=3),
        stat(
            "Fullest volume",
            "Used part of the fullest broker volume. At 75 % retention works at any hour, at 90 % sends are "
            "refused.",
            RATIO, USED, [(0.75, "orange"), (0.85, "red")], width=3, decimals=0))
    received = rate(of_users("rocketmq_messages_in_total"))
    traffic = row(
        "Traffic",
        graph(
            "Messages",
            "Stored by brokers, delivered to consumers (every delivery counts) and acknowledged.",
            PER_SECOND, Query(total(received), "stored"),
            Query(total(rate(of_users("rocketmq_messages_out_total"))), "delivered"),
            Query(total(rate(of_users("millrace_messages_acknowledged_total"))), "acknowledged"), width=8),
        graph(
            "Bytes",
            "Body and properties of these messages.",
            BYTES_PER_SECOND, Query(total(rate(of_users("rocketmq_throughput_in_total"))), "stored"),
            Query(total(rate(of_users("rocketmq_throughput_out_total"))), "delivered"), width=8),
        bars(
            "Busiest topics",
            "Stored messages per second, five minutes, the ten busiest.",
            PER_SECOND,
            Query(f"topk(10, {total(rate(of_users('rocketmq_messages_in_total'), '5m'), 'topic')})", "{{topic}}"),
            width=8))
    latency = row(
        "Latency",
        graph(
            "Send",
            "Time of SendMessage in the proxy: what a producer waits, without its own network.",
            SECONDS, *percentiles(of("millrace_proxy_request_seconds_bucket", SEND)), width=8),
        graph(
            "Age at delivery",
            "How old messages are when a consumer gets them; of a retry since it fell due.",
            SECONDS, *percentiles(of_users("millrace_message_delivery_age_seconds_bucket")), width=8),
        graph(
            "Calls that were not OK",
            "Calls by the code of their answer. MESSAGE_NOT_FOUND, a receive that found nothing, is left out.",
            PER_SECOND,
            Query(total(rate(of("millrace_proxy_requests_total", 'code!~"OK|MESSAGE_NOT_FOUND"')), "code"), "{{code}}"),
            width=8))
    rows = f"topk(10, {total(lag, GROUP_TOPIC)})"
    columns = [
        Column("Unfinished", NUMBER, rows),
        Column("Ready", NUMBER, total(of_users("rocketmq_consumer_ready_messages"), GROUP_TOPIC)),
        Column("In flight", NUMBER, total(of_users("rocketmq_consumer_inflight_messages"), GROUP_TOPIC)),
        Column("Oldest", SECONDS,
               f"max by ({GROUP_TOPIC}) ({of_users('rocketmq_consumer_lag_latency_milliseconds')}) / 1000", AGE_LIMITS),
        Column("Consumers", NUMBER, alike(alive, "consumer_group", lag)),
    ]
    # Every column has the rows of the first, so that nothing else appears in the table.
    for column in columns[1:]:
        column.expr = f"({column.expr}) and on ({GROUP_TOPIC}) {rows}"
    largest = row(
        "Backlog",
        table("Largest backlogs", "The ten largest, by group and topic. The dashboard Backlog has all of them.",
              {"consumer_group": "Group", "topic": "Topic"}, columns, sort="Unfinished"))
    processes = row(
        "Processes",
        graph(
            "CPU",
            "Cores in use.",
            NUMBER,
            Query(total(rate(of("process_cpu_seconds_total")), "node_type", "node_id"), "{{node_type}} {{node_id}}"),
            width=8),
        graph(
            "Memory",
            "Resident memory.",
            BYTES,
            Query(total(of("process_resident_memory_bytes"), "node_type", "node_id"), "{{node_type}} {{node_id}}"),
            width=8),
        graph(
            "Clients",
            "Clients with an open Telemetry stream.",
            NUMBER, Query(total(of("rocketmq_producer_connections"), "language"), "producers, {{language}}"),
            Query(total(of("rocketmq_consumer_connections"), "language"), "consumers, {{language}}"), width=8),
        table("Versions", "What runs where, and for how long.",
              {"node_type": "Service", "node_id": "Node", "version": "Version"},
              [Column("Up for", SECONDS, "max by (node_type, node_id, version) (" + of("millrace_build_info") +
                      " * on (node_type, node_id, instance) group_left () (time() - " +
                      of("process_start_time_seconds") + "))")], sort="Up for", height=6),
        collapsed=True)
    return dashboard("millrace-overview", "Millrace / Overview", "Is everything well? Health, traffic, latency and the "
                     "largest backlogs.", WHICH, health, traffic, latency, largest, processes)


def backlogs():
    name = "{{consumer_group}} {{topic}}"

    def by_group_topic(metric):
        return Query(total(backlog(metric), GROUP_TOPIC), name)

    def rates(metric):
        return Query(total(rate(backlog(metric)), GROUP_TOPIC), name)

    def age(metric):
        return Query(f"max by ({GROUP_TOPIC}) ({backlog(metric)}) / 1000", name)

    def sum_of(metric):
        return f"{total(backlog(metric))} or vector(0)"

    summary = row(
        "Chosen groups and topics",
        stat(
            "Unfinished",
            "Ready + in flight + waiting.",
            NUMBER, sum_of("rocketmq_consumer_lag_messages")),
        stat(
            "Ready",
            "Wait for a receive.",
            NUMBER, sum_of("rocketmq_consumer_ready_messages")),
        stat(
            "In flight",
            "With consumers, not acknowledged.",
            NUMBER, sum_of("rocketmq_consumer_inflight_messages")),
        stat(
            "Waiting",
            "Wait for the delay of a retry to end.",
            NUMBER, sum_of("millrace_consumer_waiting_messages")),
        stat(
            "Dead letters",
            "Gave up after their last attempt, over the life of the groups.",
            NUMBER, sum_of("millrace_consumer_dead_lettered_messages"), [(1, "orange")]),
        stat(
            "Consumers",
            "Consumers that are alive.",
            NUMBER, f"sum({clients()}) or vector(0)"),
        table("Groups and topics", "One line per group and topic. Time until drained is infinite while the backlog "
        "does not "
              "shrink; consumers needed are those that drain it within five minutes.",
              {"consumer_group": "Group", "topic": "Topic"}, [
                  Column("Unfinished", NUMBER, total(backlog("rocketmq_consumer_lag_messages"), GROUP_TOPIC)),
                  Column("Ready", NUMBER, total(backlog("rocketmq_consumer_ready_messages"), GROUP_TOPIC)),
                  Column("In flight", NUMBER, total(backlog("rocketmq_consumer_inflight_messages"), GROUP_TOPIC)),
                  Column("Waiting", NUMBER, total(backlog("millrace_consumer_waiting_messages"), GROUP_TOPIC)),
                  Column("Dead", NUMBER, total(backlog("millrace_consumer_dead_lettered_messages"), GROUP_TOPIC),
                         [(1, "orange")]),
                  Column("Oldest ready", SECONDS, age("rocketmq_consumer_queueing_latency_milliseconds").expr,
                         AGE_LIMITS),
                  Column("Oldest", SECONDS, age("rocketmq_consumer_lag_latency_milliseconds").expr, AGE_LIMITS),
                  Column("Consumers", NUMBER, alike(clients(), "consumer_group")),
                  Column("Stored/s", PER_SECOND, alike(
                      total(rate(of_users("rocketmq_messages_in_total", TOPIC), "5m"), "topic"), "topic")),
                  Column("Acked/s", PER_SECOND,
                         total(rate(backlog("millrace_messages_acknowledged_total"), "5m"), GROUP_TOPIC)),
                  Column("Drained in", SECONDS, until_drained(), [(3600, "orange"), (86400, "red")]),
              ], sort="Unfinished", height=10))
    trend = row(
        "Backlog over time",
        graph(
            "Ready",
            "Messages that wait for a receive, stacked.",
            NUMBER, by_group_topic("rocketmq_consumer_ready_messages"), stacked=True),
        graph(
            "In flight",
            "With consumers. At the limit of what they take at once while ready grows: consumers are too slow or "
            "stuck. Near zero while ready grows: nobody receives.",
            NUMBER, by_group_topic("rocketmq_consumer_inflight_messages"), stacked=True),
        graph(
            "Oldest ready message",
            "How long the oldest ready message has been ready.",
            SECONDS, age("rocketmq_consumer_queueing_latency_milliseconds")),
        graph(
            "Oldest unfinished message",
            "Age of the oldest message that is not finished, whatever happens to it.",
            SECONDS, age("rocketmq_consumer_lag_latency_milliseconds")),
        graph(
            "Stored and acknowledged",
            "The backlog grows while more is stored than acknowledged. With a filter a group never acknowledges all "
            "that is stored.",
            PER_SECOND,
            Query(total(rate(of_users("rocketmq_messages_in_total", TOPIC)), "topic"), "stored: {{topic}}"),
            Query(total(rate(backlog("millrace_messages_acknowledged_total")), GROUP_TOPIC), "acknowledged: " + name)),
        graph(
            "Consumers",
            "Consumers that are alive.",
            NUMBER, Query(clients(), "{{consumer_group}}")))
    draining = row(
        "Drain (recording rules)",
        graph(
            "Time until drained",
            "Ready messages divided by how fast they have become fewer in five minutes. No line: it grows, or "
            "nothing is ready.",
            SECONDS, Query(of("millrace:group_topic_time_until_drained_seconds", GROUP, TOPIC, node=False), name)),
        graph(
            "Consumers needed",
            "To drain what is ready within five minutes, at the pace that a consumer of the group has shown while "
            "there was work.",
            NUMBER, Query(of("millrace:group_consumers_needed", GROUP, node=False), "{{consumer_group}} needs"),
            Query(of("millrace:group_online_clients:max", GROUP, node=False), "{{consumer_group}} has")))
    processing = row(
        "Processing",
        graph(
            "Processing time, p50",
            "From delivery to acknowledgement, the middle one.",
            SECONDS, Query(quantile(0.5, backlog("millrace_message_ack_latency_seconds_bucket"), GROUP_TOPIC), name)),
        graph(
            "Processing time, p99",
            "From delivery to acknowledgement, the slowest of a hundred.",
            SECONDS, Query(quantile(0.99, backlog("millrace_message_ack_latency_seconds_bucket"), GROUP_TOPIC), name)),
        graph(
            "Age at delivery, p99",
            "Since the message was stored or its retry fell due.",
            SECONDS, Query(quantile(0.99, backlog("millrace_message_delivery_age_seconds_bucket"), GROUP_TOPIC), name)),
        heatmap(
            "Age at delivery",
            "Deliveries by age; dark is many.",
            SECONDS,
            total(f"increase({backlog('millrace_message_delivery_age_seconds_bucket')}[$__rate_interval])", "le")))
    failures = row(
        "Failures",
        graph(
            "Redeliveries",
            "Deliveries of messages that had been delivered before.",
            PER_SECOND, rates("millrace_messages_redelivered_total"), width=8),
        graph(
            "Ran out of time",
            "Deliveries whose lease ended without an acknowledgement: the consumer is dead, or slower than its "
            "invisible duration.",
            PER_SECOND, rates("millrace_deliveries_expired_total"), width=8),
        graph(
            "Did not arrive",
            "Deliveries that did not reach the client: its stream did not end well.",
            PER_SECOND, rates("millrace_deliveries_returned_total"), width=8),
        graph(
            "Dead letters",
            "Written to the dead letters of the group.",
            PER_SECOND, rates("rocketmq_send_to_dlq_messages_total")),
        graph(
            "Lost to retention",
            "Removed by retention before the group had finished them, over the life of the group. More than 0 is "
            "data that a consumer never saw.",
            NUMBER, by_group_topic("millrace_consumer_expired_messages")))
    connections = row(
        "Clients",
        table("Connected consumers", "Consumers with an open Telemetry stream.",
              {"consumer_group": "Group", "language": "Language", "version": "Version", "consume_mode": "Kind"},
              [Column("Clients", NUMBER, total(of_users("rocketmq_consumer_connections", GROUP),
                                               "consumer_group, language, version, consume_mode"))],
              sort="Clients", height=7),
        collapsed=True)
    return dashboard("millrace-backlog", "Millrace / Backlog", "Who is behind, how far, since when, why, and when it "
    "ends: "
                     "by group and topic.", WHICH_BACKLOG, summary, trend, draining, processing, failures, connections)


def latencies():
    requests = "millrace_proxy_request_seconds"
    sends = of(f"{requests}_bucket", SEND)
    calls = of("millrace_proxy_requests_total")
    send = row(
        "Send",
        graph(
            "Send",
            "SendMessage in the proxy, all of them.",
            SECONDS, *percentiles(sends), width=8),
        graph(
            "Send, p99 by proxy",
            "One that stands out has a problem of its own.",
            SECONDS, Query(quantile(0.99, sends, "node_id"), "{{node_id}}"), width=8),
        heatmap(
            "Send",
            "Sends by duration; dark is many.",
            SECONDS, total(f"increase({sends}[$__rate_interval])", "le"), width=8),
        graph(
            "Where a send spends its time, p99",
            "The proxy's time holds the link's and the broker's, that holds the flush, and that holds the "
            "fdatasync.",
            SECONDS, Query(quantile(0.99, sends), "in the proxy"),
            Query(quantile(0.99, of("millrace_proxy_forward_seconds_bucket", 'op="send"')), "link and broker"),
            Query(quantile(0.99, of("millrace_commitlog_flush_seconds_bucket")), "until durable"),
            Query(quantile(0.99, of("millrace_commitlog_sync_seconds_bucket")), "fdatasync")),
        graph(
            "Sends that fail",
            "By code; those that are no fault of the caller.",
            PER_SECOND,
            Query(total(rate(of("millrace_proxy_requests_total", SEND, FAILURES)), "code") +
                  ' or on () label_replace(vector(0), "code", "none", "", "")', "{{code}}")))
    receive = row(
        "Receive and acknowledge",
        graph(
            "Age at delivery",
            "The latency of the queue itself: since a message was stored, or its retry fell due, until a consumer "
            "got it.",
            SECONDS, *percentiles(of_users("millrace_message_delivery_age_seconds_bucket")), width=8),
        graph(
            "End to end",
            "From being stored to the acknowledgement.",
            SECONDS, *percentiles(of_users("millrace_message_end_to_end_seconds_bucket")), width=8),
        graph(
            "Delivered within a second",
            "Part of the deliveries that were at most a second old.",
            RATIO,
            Query(total(rate(of_users("millrace_message_delivery_age_seconds_bucket", 'le="1"'))) +
                  f" / ({total(rate(of_users('millrace_message_delivery_age_seconds_count')))} > 0)", "within 1 s"),
            width=8),
        graph(
            "Receive that found messages at once",
            "ReceiveMessage that did not wait.",
            SECONDS, *percentiles(of(f"{requests}_bucket", 'method="ReceiveMessage"', 'is_long_polling="false"')),
            width=8),
        graph(
            "Acknowledge",
            "AckMessage in the proxy.",
            SECONDS, *percentiles(of(f"{requests}_bucket", 'method="AckMessage"')), width=8),
        graph(
            "Processing time by group, p99",
            "From delivery to acknowledgement: the consumer's own time.",
            SECONDS,
            Query(quantile(0.99, of_users("millrace_message_ack_latency_seconds_bucket"), "consumer_group"),
                  "{{consumer_group}}"),
            width=8))
    all_calls = row(
        "Calls",
        graph(
            "Calls",
            "Finished calls by method.",
            PER_SECOND, Query(total(rate(calls), "method"), "{{method}}"), width=8),
        graph(
            "p99 by method",
            "Without receives that waited.",
            SECONDS,
            Query(quantile(0.99, of(f"{requests}_bucket", 'is_long_polling="false"'), "method"), "{{method}}"),
            width=8),
        graph(
            "Answers other than OK",
            "By method and code.",
            PER_SECOND,
            Query(total(rate(of("millrace_proxy_requests_total", 'code!="OK"')), "method", "code"),
                  "{{method}} {{code}}"),
            width=8),
        table("Calls as RocketMQ counts them", "rocketmq_rpc_latency_milliseconds, all since the proxies' start.",
              {"request_code": "Method", "response_code": "Code", "is_long_polling": "Waited"},
              [Column("Calls", NUMBER, total(of("rocketmq_rpc_latency_milliseconds_count"),
                                             "request_code, response_code, is_long_polling")),
               Column("Mean", MILLISECONDS,
                      total(of("rocketmq_rpc_latency_milliseconds_sum"), "request_code, response_code, "
                      "is_long_polling") +
                      " / " +
                      total(of("rocketmq_rpc_latency_milliseconds_count"), "request_code, response_code, "
                      "is_long_polling"))],
              sort="Calls", height=8))
    proxies = row(
        "Proxies",
        graph(
            "Connections",
            "Open connections to the client port.",
            NUMBER, Query(total(of("millrace_proxy_connections"), "node_id"), "{{node_id}}"), width=6),
        graph(
            "Long polls",
            "Receives that wait.",
            NUMBER, Query(total(of("millrace_proxy_long_polls"), "node_id"), "{{node_id}}"), width=6),
        graph(
            "Telemetry streams",
            "One for each client.",
            NUMBER, Query(total(of("millrace_proxy_telemetry_streams"), "node_id"), "{{node_id}}"), width=6),
        graph(
            "Answers that came back",
            "Receives whose stream did not end well: the messages go back at once.",
            PER_SECOND, Query(total(rate(of("millrace_proxy_answers_returned_total")), "node_id"), "{{node_id}}"),
            width=6),
        graph(
            "Link to the broker, p99",
            "From the hand-over to the link until the broker's answer, by operation.",
            SECONDS, Query(quantile(0.99, of("millrace_proxy_forward_seconds_bucket"), "op"), "{{op}}")),
        graph(
            "Age of the routes",
            "Since the last sign of life of a nameserver. A proxy keeps its routes while none answers.",
            SECONDS, Query(f"min by (node_id) ({of('millrace_proxy_route_age_seconds')})", "{{node_id}}")))
    return dashboard("millrace-latency", "Millrace / Latency", "How long sends, deliveries and acknowledgements take, "
    "and "
                     "where the time goes.", WHICH, send, receive, all_calls, proxies)


def storage():
    disk = 'storage_medium="disk"'

    def each(metric, *matchers):
        return Query(f"max by (node_id) ({of(metric, *matchers)})", "{{node_id}}")

    def every(metric, *matchers):
        return Query(total(rate(of(metric, *matchers)), "node_id"), "{{node_id}}")

    def mean(part, whole):
        return Query(f"{total(rate(of(part)), 'node_id')} / ({total(rate(of(whole)), 'node_id')} > 0)", "{{node_id}}")

    volume = row(
        "Volume",
        stat(
            "Fullest volume",
            "Used part, by everybody who writes there.",
            RATIO, USED, [(0.75, "orange"), (0.85, "red")], decimals=1),
        stat(
            "Watermark",
            "What the fullest broker does about it.",
            NUMBER, f"max({of('millrace_storage_watermark')})", [(1, "orange"), (2, "red")],
            names={0: "room", 1: "cleans", 2: "deletes", 3: "refuses"}),
        stat(
            "Log",
            "A log that has failed acknowledges nothing any more: restart the broker when the disk is well.",
            NUMBER, f"max({of('millrace_store_failed')})", [(1, "red")], names={0: "well", 1: "failed"}),
        stat(
            "Oldest segment",
            "How far back messages can be read; retention.age is the wish.",
            SECONDS, f"max({of('rocketmq_storage_message_reserve_time_milliseconds', disk)}) / 1000 or vector(0)"),
        stat(
            "Topics",
            "Dead letter topics included.",
            NUMBER, f"max({of('rocketmq_topic_number')})"),
        stat(
            "Groups",
            "Consumer groups.",
            NUMBER, f"max({of('rocketmq_consumer_group_number')})"),
        graph(
            "Volume",
            "Size, used by all, and used by the commit log.",
            BYTES, Query(f"max by (node_id) ({of('millrace_storage_capacity_bytes')})", "{{node_id}} size"),
            Query(f"max by (node_id) ({of('rocketmq_storage_size_bytes', disk)})", "{{node_id}} used"),
            Query(f"max by (node_id) ({of('millrace_commitlog_size_bytes')})", "{{node_id}} commit log")),
        graph(
            "Commit log",
            "All segments.",
            BYTES, each("millrace_commitlog_size_bytes"), width=6),
        graph(
            "Removed by retention",
            "By reason: age, size of the log, watermark of the volume.",
            BYTES_PER_SECOND,
            Query(total(rate(of("millrace_retention_removed_bytes_total")), "reason"), "{{reason}}"), width=6))
    writing = row(
        "Writing",
        graph(
            "Bytes",
            "Appended to the commit log.",
            BYTES_PER_SECOND, every("millrace_commitlog_bytes_total"), width=8),
        graph(
            "Records per batch",
            "Messages and progress that one write carries, on average. It grows with the load; that is what makes a "
            "sync per message cheap.",
            NUMBER, mean("millrace_commitlog_records_total", "millrace_commitlog_batches_total"), width=8),
        graph(
            "Calls",
            "Write and fdatasync calls.",
            PER_SECOND, Query(total(rate(of("millrace_commitlog_writes_total"))), "write"),
            Query(total(rate(of("millrace_commitlog_syncs_total"))), "fdatasync"), width=8),
        graph(
            "fdatasync",
            "The disk's own time.",
            SECONDS, *percentiles(of("millrace_commitlog_sync_seconds_bucket")), width=8),
        graph(
            "Until durable",
            "From the hand-over of a batch until it may be acknowledged.",
            SECONDS, *percentiles(of("millrace_commitlog_flush_seconds_bucket")), width=8),
        graph(
            "write",
            "One write call, into the page cache.",
            SECONDS, *percentiles(of("millrace_commitlog_write_seconds_bucket")), width=8),
        graph(
            "Behind the disk",
            "Written and not yet durable.",
            BYTES, each("rocketmq_storage_flush_behind_bytes", disk)),
        graph(
            "Behind the image",
            "Durable and not yet folded into the state image: what a start has to read again.",
            BYTES, each("rocketmq_storage_dispatch_behind_bytes", disk)))
    broker = row(
        "Broker",
        graph(
            "Core turn",
            "One turn of the broker's logic; it should stay under a millisecond.",
            SECONDS, *percentiles(of("millrace_core_turn_seconds_bucket")), width=8),
        graph(
            "Records per frame",
            "How many records a frame between proxy and broker carries.",
            NUMBER,
            Query(f"{total(rate(of('millrace_link_records_in_total')))} / "
                  f"({total(rate(of('millrace_link_frames_in_total')))} > 0)", "from proxies"),
            Query(f"{total(rate(of('millrace_link_records_out_total')))} / "
                  f"({total(rate(of('millrace_link_frames_out_total')))} > 0)", "to proxies"),
            width=8),
        graph(
            "Queued on links",
            "Bytes that no frame has taken yet, and deliveries that wait for credit: a proxy that does not keep up.",
            NUMBER, Query(total(of("millrace_link_queued_bytes")), "bytes"),
            Query(total(of("millrace_link_claims_waiting")), "deliveries"), width=8),
        graph(
            "Clock",
            "Log time minus wall clock.",
            SECONDS, each("millrace_log_time_ahead_seconds"), width=8, minimum=None),
        graph(
            "Links",
            "Proxies that are linked, clients that they have registered, long polls that wait.",
            NUMBER, Query(total(of("millrace_links")), "links"), Query(f"max({of('millrace_clients')})", "clients"),
            Query(total(of("millrace_waiting_receives")), "long polls"), width=8),
        graph(
            "Metrics in \"other\"",
            "Topics and groups that did not fit the page of metrics under their own names.",
            NUMBER, Query(total(of("millrace_metrics_rows_dropped"), "kind"), "{{kind}}"), width=8))
    names = row(
        "Nameservers",
        graph(
            "Registered",
            "Brokers and the proxies that watch the routes.",
            NUMBER, Query(f"max({of('millrace_nameserver_brokers')})", "brokers"),
            Query(f"max({of('millrace_nameserver_watchers')})", "watching proxies"), width=8),
        graph(
            "Registrations",
            "Full registrations: after a start of either side.",
            PER_SECOND, every("millrace_nameserver_registrations_total"), width=8),
        graph(
            "Forgotten brokers",
            "Brokers that were silent for too long.",
            NUMBER, Query(f"sum by (node_id) ({of('millrace_nameserver_expired_total')})", "{{node_id}}"), width=8),
        collapsed=True)
    files = row(
        "Process",
        graph(
            "Open files",
            "Of the brokers.",
            NUMBER, each("process_open_fds", 'node_type=~"broker|up"'), width=8),
        graph(
            "Threads",
            "Of the brokers.",
            NUMBER, each("process_threads", 'node_type=~"broker|up"'), width=8),
        graph(
            "Memory",
            "Resident memory of the brokers.",
            BYTES, each("process_resident_memory_bytes", 'node_type=~"broker|up"'), width=8),
        collapsed=True)
    return dashboard("millrace-storage", "Millrace / Storage", "Volumes, the commit log, and what the broker does "
    "around "
                     "them.", WHICH, volume, writing, broker, names, files)


DASHBOARDS = {"millrace-overview": overview(), "millrace-backlog": backlogs(), "millrace-latency": latencies(),
              "millrace-storage": storage()}


def texts():
    """path -> content of every file."""
    return {OUT / f"{name}.json": json.dumps(content, indent=2, ensure_ascii=False) + "\n"
            for name, content in DASHBOARDS.items()}


def stale():
    """What on disk differs from this file."""
    wanted = texts()
    wrong = [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    return wrong + [path for path in OUT.glob("*.json") if path not in wanted]


def main():
    if "--check" in sys.argv[1:]:
        for path in stale():
            print(f"{path.relative_to(ROOT)} is not what monitoring/dashboards.py says: run it")
        return 1 if stale() else 0
    OUT.mkdir(parents=True, exist_ok=True)
    for path, text in texts().items():
        path.write_text(text)
        print(path.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
