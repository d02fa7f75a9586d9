#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "config/schema.h"
#include "services/broker/broker.h"

namespace millrace::broker {

// Keys of a broker. `up` has the same keys with other defaults.
struct BrokerConfig {
  std::string listen = "0.0.0.0:10911";
  std::string advertise;
  std::string data = "./data/broker";
  std::string cluster = "DefaultCluster";
  std::string name = "broker-a";
  std::string home;
  bool auto_create_topics = false;
  bool auto_create_groups = true;
  std::string flush = "sync";
  absl::Duration flush_interval = absl::Milliseconds(500);
  std::string ack_durability = "sync";
  config::ByteSize segment_bytes{1ll << 30};
  config::ByteSize unconfirmed_bytes{64ll << 20};
  absl::Duration retention_age = absl::Hours(72);
  int retention_hour = 4;
  config::ByteSize retention_size{0};
  int clean_percent = 75;
  int force_percent = 85;
  int refuse_percent = 90;
  absl::Duration renew_limit = absl::Minutes(15);
  int in_flight_max = 10'000;
  int reader_threads = 1;
  config::ByteSize metrics_page_bytes{2'000'000};

  static void Declare(config::Schema<BrokerConfig>& keys) {
    keys.Add("broker.listen", &BrokerConfig::listen)
        .Doc("Address for links of proxies. Port 0 picks a free one. For the cluster, never for the world.");
    keys.Add("broker.advertise", &BrokerConfig::advertise)
        .Doc("Address that proxies are told to dial; empty: the listening address.")
        .Example("broker-a-0.millrace-broker:10911");
    keys.Add("broker.data", &BrokerConfig::data).Doc("Directory of the store.").RocketmqName("storePathRootDir");
    keys.Add("cluster.name", &BrokerConfig::cluster)
        .Doc("Cluster that this broker belongs to; kept in the store at the first start.")
        .RocketmqName("brokerClusterName");
    keys.Add("broker.name", &BrokerConfig::name).Doc("Name of the broker set.").RocketmqName("brokerName");
    keys.Add("metadata.home", &BrokerConfig::home)
        .Doc("Broker set that keeps topics and groups. Read at the very first start; afterwards the log says it.");
    keys.Add("auto-create-topics", &BrokerConfig::auto_create_topics)
        .Doc("The first send to an unknown legal topic creates it.")
        .RocketmqName("autoCreateTopicEnable");
    keys.Add("auto-create-groups", &BrokerConfig::auto_create_groups)
        .Doc("The first use of an unknown legal consumer group creates it.")
        .RocketmqName("autoCreateSubscriptionGroup");
    keys.Add("store.flush", &BrokerConfig::flush)
        .Doc(
            "sync: a send is answered when it survives a power cut. async: when it is written; a power cut may lose "
            "the last store.flush-interval.")
        .OneOf({"sync", "async"});
    keys.Add("store.flush-interval", &BrokerConfig::flush_interval)
        .Doc("Longest time a byte stays unflushed with store.flush async.")
        .Range(absl::Milliseconds(1), absl::Minutes(1))
        .RocketmqName("flushIntervalCommitLog", absl::Milliseconds(1));
    keys.Add("store.ack-durability", &BrokerConfig::ack_durability)
        .Doc("sync: an acknowledgement is answered when it is as durable as a send. async: at once.")
        .OneOf({"sync", "async"});
    keys.Add("store.segment-bytes", &BrokerConfig::segment_bytes)
        .Doc("Size of one file of the commit log. A store keeps the size it was made with.")
        .Range({16 << 20}, {16ll << 30})  // the largest record, progress of one cursor, fits
        .RocketmqName("mappedFileSizeCommitLog");
    keys.Add("store.unconfirmed-bytes", &BrokerConfig::unconfirmed_bytes)
        .Doc("Bytes of sends that may wait for the disk; beyond it sends get TOO_MANY_REQUESTS.")
        .Range({1 << 20}, {4ll << 30});
    keys.Add("retention.age", &BrokerConfig::retention_age)
        .Doc("How long a message is kept.")
        .Range(absl::Minutes(1), absl::Hours(24 * 3650))
        .RocketmqName("fileReservedTime", absl::Hours(1));
    keys.Add("retention.hour", &BrokerConfig::retention_hour)
        .Doc("Hour of the day in which expired files go; -1: at any time.")
        .Range(-1, 23)
        .RocketmqName("deleteWhen");
    keys.Add("retention.size", &BrokerConfig::retention_size)
        .Doc("Size of the commit log at which the oldest files go; 0: 80 % of the volume.");
    keys.Add("retention.clean-percent", &BrokerConfig::clean_percent)
        .Doc("Volume used, in percent, from which expired files go at any hour.")
        .Range(1, 99)
        .RocketmqName("diskMaxUsedSpaceRatio");
    keys.Add("retention.force-percent", &BrokerConfig::force_percent)
        .Doc("Volume used, in percent, from which the oldest files go whatever their age.")
        .Range(1, 99);
    keys.Add("retention.refuse-percent", &BrokerConfig::refuse_percent)
        .Doc("Volume used, in percent, from which sends are refused.")
        .Range(1, 99);
    keys.Add("delivery.renew-limit", &BrokerConfig::renew_limit)
        .Doc("Longest time that a push consumer's lease is renewed, unless its group says otherwise.")
        .Range(absl::Seconds(10), absl::Hours(12));
    keys.Add("delivery.in-flight-max", &BrokerConfig::in_flight_max)
        .Doc("Messages of one group and queue that may be in flight.")
        .Range(32, 1'000'000);
    keys.Add("broker.reader-threads", &BrokerConfig::reader_threads)
        .Doc("Threads that read message bodies for deliveries.")
        .Range(1, 64);
    keys.Add("metrics.page-bytes", &BrokerConfig::metrics_page_bytes)
        .Doc("Most bytes of /metrics that samples of single topics and groups take; the rest is summed up as other.")
        .Range({64 << 10}, {256ll << 20});
  }

  absl::Status Validate() const {
    if (clean_percent <= force_percent && force_percent <= refuse_percent) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("retention.clean-percent ", clean_percent, ", force-percent ",
                                                   force_percent, " and refuse-percent ", refuse_percent,
                                                   " must rise; set them like 75, 85, 90"));
  }

  // What Broker::Open takes. `holder`: for the lock.
  BrokerOptions Options(std::string holder) const {
    BrokerOptions options;
    options.data_directory = data;
    options.cluster = cluster;
    options.broker_set = name;
    options.home = home;
    options.holder = std::move(holder);
    options.auto_create_topics = auto_create_topics;
    options.auto_create_groups = auto_create_groups;
    options.reader_threads = reader_threads;
    options.metrics_page_bytes = static_cast<std::uint64_t>(metrics_page_bytes.bytes);
    options.log.segment_bytes = static_cast<std::uint64_t>(segment_bytes.bytes);
    options.log.async_flush = flush == "async";
    options.log.flush_interval_millis = absl::ToInt64Milliseconds(flush_interval);
    options.core.async_ack = ack_durability == "async";
    options.core.unconfirmed_bytes_max = static_cast<std::uint64_t>(unconfirmed_bytes.bytes);
    options.core.renew_limit_millis = absl::ToInt64Milliseconds(renew_limit);
    options.core.in_flight_max = static_cast<std::uint32_t>(in_flight_max);
    options.retention.age_millis = absl::ToInt64Milliseconds(retention_age);
    options.retention.hour = retention_hour;
    options.retention.size_bytes_max = static_cast<std::uint64_t>(retention_size.bytes);
    options.retention.clean_percent = clean_percent;
    options.retention.force_percent = force_percent;
    options.retention.refuse_percent = refuse_percent;
    return options;
  }
};

}  // namespace millrace::broker
