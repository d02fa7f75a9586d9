package millrace.e2e;

import java.io.Closeable;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.apis.ClientException;
import org.apache.rocketmq.client.apis.ClientServiceProvider;
import org.apache.rocketmq.client.apis.message.Message;
import org.apache.rocketmq.client.apis.message.MessageBuilder;
import org.apache.rocketmq.client.apis.producer.Producer;
import org.apache.rocketmq.client.apis.producer.SendReceipt;
import org.apache.rocketmq.client.java.impl.producer.SendReceiptImpl;

final class Send {
  private Send() {}

  static Closeable run(Options options) throws Exception {
    ClientServiceProvider provider = ClientServiceProvider.loadService();
    Producer producer = provider.newProducerBuilder().setClientConfiguration(Agent.configuration(options))
        .setTopics(options.text("topic")).build();
    new Line("ready").with("sdk", "java").print();
    int first = options.number("first");
    int count = options.number("count");
    double rate = Double.parseDouble(options.text("rate"));
    AtomicInteger next = new AtomicInteger(first);
    long began = System.nanoTime();
    Agent.runWorkers(options.number("workers"), () -> {
      while (!Agent.stopped()) {
        int seq = next.getAndIncrement();
        if (count > 0 && seq >= first + count) {
          return;
        }
        if (rate > 0) {
          Agent.pause((long) (began + (seq - first) * 1e9 / rate) - System.nanoTime());
          if (Agent.stopped()) {
            return;
          }
        }
        sendOne(options, provider, producer, seq);
      }
    });
    return producer;
  }

  private static byte[] body(String uid, int size) {
    String text = uid + ":";
    return text.repeat(size / text.length() + 1).substring(0, size).getBytes(StandardCharsets.UTF_8);
  }

  private static Message message(Options options, ClientServiceProvider provider, String uid, int seq) {
    List<String> sizes = options.words("sizes");
    MessageBuilder builder = provider.newMessageBuilder().setTopic(options.text("topic"))
        .setBody(body(uid, Integer.parseInt(sizes.get(seq % sizes.size())))).addProperty("uid", uid);
    List<String> tags = options.words("tag");
    if (!tags.isEmpty()) {
      builder.setTag(tags.get(seq % tags.size()));
    }
    List<String> keys = options.words("keys");
    if (!keys.isEmpty()) {
      builder.setKeys(keys.toArray(new String[0]));
    }
    for (String pair : options.words("properties")) {
      String[] parts = pair.split("=", 2);
      builder.addProperty(parts[0], parts[1]);
    }
    return builder.build();
  }

  private static void sendOne(Options options, ClientServiceProvider provider, Producer producer, int seq) {
    String uid = options.text("name") + "-" + seq;
    Message message = message(options, provider, uid, seq);
    SendReceipt receipt = null;
    Exception error = null;
    long start = System.nanoTime();
    try {
      receipt = producer.send(message);
    } catch (ClientException | RuntimeException failure) {
      error = failure;
    }
    long end = System.nanoTime();
    long offset = receipt instanceof SendReceiptImpl ? ((SendReceiptImpl) receipt).getOffset() : -1;
    new Line("send").with("ok", error == null)
        .with("id", receipt == null ? "" : receipt.getMessageId()).with("uid", uid)
        .with("topic", message.getTopic()).with("tag", message.getTag().orElse(""))
        .with("keys", options.words("keys")).with("sha", Agent.sha256(message.getBody()))
        .with("size", message.getBody().remaining()).with("offset", offset).with("start", start)
        .with("end", end).with("ms", (end - start) / 1e6).with("code", Agent.codeOf(error))
        .with("error", Agent.describe(error)).print();
  }
}
