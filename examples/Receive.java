import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import org.apache.rocketmq.client.apis.ClientConfiguration;
import org.apache.rocketmq.client.apis.ClientServiceProvider;
import org.apache.rocketmq.client.apis.consumer.FilterExpression;
import org.apache.rocketmq.client.apis.consumer.SimpleConsumer;
import org.apache.rocketmq.client.apis.message.MessageView;

/** Receives messages with the official Java SDK, prints and acknowledges them: ENDPOINTS TOPIC GROUP COUNT. */
public class Receive {
  public static void main(String[] args) throws Exception {
    ClientConfiguration configuration =
        ClientConfiguration.newBuilder().setEndpoints(args[0]).enableSsl(false).build();
    SimpleConsumer consumer = ClientServiceProvider.loadService().newSimpleConsumerBuilder()
        .setClientConfiguration(configuration).setConsumerGroup(args[2]).setAwaitDuration(Duration.ofSeconds(5))
        .setSubscriptionExpressions(Map.of(args[1], FilterExpression.SUB_ALL)).build();
    for (int left = Integer.parseInt(args[3]); left > 0;) {
      for (MessageView message : consumer.receive(16, Duration.ofSeconds(30))) {
        System.out.printf("received %2s: %s%n", message.getProperties().get("line"),
            StandardCharsets.UTF_8.decode(message.getBody()));
        consumer.ack(message);
        left--;
      }
    }
    consumer.close();
  }
}
