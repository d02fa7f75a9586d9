package millrace.e2e;

import java.io.Closeable;
import java.time.Duration;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.apis.ClientException;
import org.apache.rocketmq.client.apis.ClientServiceProvider;
import org.apache.rocketmq.client.apis.consumer.ConsumeResult;
import org.apache.rocketmq.client.apis.consumer.FilterExpression;
import org.apache.rocketmq.client.apis.consumer.FilterExpressionType;
import org.apache.rocketmq.client.apis.consumer.PushConsumer;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.MessageView;
import org.apache.rocketmq.client.java.message.MessageViewImpl;

final class Consume {
  private final Options options;
  private final AtomicInteger done = new AtomicInteger();
  private final Map<String, AtomicInteger> failures = new ConcurrentHashMap<>();

  private Consume(Options options) {
    this.options = options;
  }

  /** Counts one success; the agent stops at --count (0 = no limit). */
  private void count() {
    int limit = options.number("count");
    if (done.incrementAndGet() >= limit && limit > 0) {
      Agent.stop();
    }
  }

  private Map<String, FilterExpression> subscription() {
    return Map.of(options.text("topic"), new FilterExpression(options.text("filter"), FilterExpressionType.TAG));
  }

  /** When the SDK decoded the message, on the clock that all agents of one machine share. */
  private static long seenAt(MessageViewImpl view) {
    return System.nanoTime() - (System.currentTimeMillis() - view.getDecodeTimestamp()) * 1_000_000;
  }

  private Line line(String op, MessageView view) {
    return new Line(op).with("group", options.text("group")).with("id", view.getMessageId())
        .with("uid", view.getProperties().getOrDefault("uid", ""))
        .with("offset", ((MessageViewImpl) view).getOffset());
  }

  private void reportDelivery(MessageView view, Long invoke) {
    MessageViewImpl full = (MessageViewImpl) view;
    line("deliver", view).with("topic", view.getTopic()).with("tag", view.getTag().orElse(null))
        .with("keys", new TreeSet<>(view.getKeys())).with("properties", view.getProperties())
        .with("sha", Agent.sha256(view.getBody())).with("size", view.getBody().remaining())
        .with("attempt", view.getDeliveryAttempt()).with("queue", null)
        .with("origin", null).with("invoke", invoke).with("t", seenAt(full)).print();
  }

  static Closeable runSimple(Options options) throws Exception {
    Consume self = new Consume(options);
    SimpleConsumer consumer = ClientServiceProvider.loadService().newSimpleConsumerBuilder()
        .setClientConfiguration(Agent.configuration(options)).setConsumerGroup(options.text("group"))
        .setAwaitDuration(Duration.ofSeconds(options.number("wait")))
        .setSubscriptionExpressions(self.subscription()).build();
    new Line("ready").with("sdk", "java").print();
    Agent.runWorkers(options.number("workers"), () -> {
      while (!Agent.stopped()) {
        self.receive(consumer);
      }
    });
    return consumer;
  }

  private void receive(SimpleConsumer consumer) throws InterruptedException {
    long invoke = System.nanoTime();
    try {
      for (MessageView view : consumer.receive(options.number("batch"),
          Duration.ofSeconds(options.number("invisible")))) {
        reportDelivery(view, invoke);
        finish(consumer, view);
      }
    } catch (ClientException | RuntimeException error) {
      new Line("receive").with("ok", false).with("start", invoke).with("end", System.nanoTime())
          .with("code", Agent.codeOf(error)).with("error", Agent.describe(error)).print();
      Agent.pause(200_000_000);
    }
  }

  private interface Call {
    void run() throws ClientException;
  }

  private boolean timed(Line line, Call call) {
    Exception error = null;
    long start = System.nanoTime();
    try {
      call.run();
    } catch (ClientException | RuntimeException failure) {
      error = failure;
    }
    line.with("ok", error == null).with("start", start).with("end", System.nanoTime())
        .with("code", Agent.codeOf(error)).with("error", Agent.describe(error)).print();
    return error == null;
  }

  /** Does with a delivery what --action says. */
  private void finish(SimpleConsumer consumer, MessageView view) {
    String action = options.text("action");
    if (action.equals("ack")) {
      if (!timed(line("ack", view), () -> consumer.ack(view))) {
        return;
      }
    } else if (action.startsWith("change:")) {
      int seconds = Integer.parseInt(action.substring("change:".length()));
      timed(line("change", view).with("seconds", seconds),
          () -> consumer.changeInvisibleDuration(view, Duration.ofSeconds(seconds)));
    }
    count();
  }

  static Closeable runPush(Options options) throws Exception {
    Consume self = new Consume(options);
    PushConsumer consumer = ClientServiceProvider.loadService().newPushConsumerBuilder()
        .setClientConfiguration(Agent.configuration(options)).setConsumerGroup(options.text("group"))
        .setConsumptionThreadCount(options.number("workers"))
        .setSubscriptionExpressions(self.subscription()).setMessageListener(self::handle).build();
    new Line("ready").with("sdk", "java").print();
    Agent.awaitStop();
    Thread.sleep(500); // the acknowledgement of the last message follows its handler
    return consumer;
  }

  private ConsumeResult handle(MessageView view) {
    long start = System.nanoTime();
    reportDelivery(view, null);
    try {
      Thread.sleep(options.number("handler-ms"));
    } catch (InterruptedException stopping) {
      Thread.currentThread().interrupt();
      return ConsumeResult.FAILURE;
    }
    boolean failed = mustFail(view.getMessageId().toString());
    line("handled", view).with("attempt", view.getDeliveryAttempt()).with("ok", !failed)
        .with("start", start).with("end", System.nanoTime()).print();
    if (failed) {
      return ConsumeResult.FAILURE;
    }
    count();
    return ConsumeResult.SUCCESS;
  }

  /** Follows --fail none, all or first:N (the first N deliveries of each message). */
  private boolean mustFail(String id) {
    String fail = options.text("fail");
    if (fail.startsWith("first:")) {
      int limit = Integer.parseInt(fail.substring("first:".length()));
      return failures.computeIfAbsent(id, unused -> new AtomicInteger()).getAndIncrement() < limit;
    }
    return fail.equals("all");
  }
}
