package millrace.e2e;

import java.io.BufferedReader;
import java.io.Closeable;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.rocketmq.client.apis.ClientConfiguration;
import org.apache.rocketmq.client.apis.ClientConfigurationBuilder;
import org.apache.rocketmq.client.apis.StaticSessionCredentialsProvider;

/**
 * Agent of the end-to-end tests on the official Java SDK. Commands, options and output lines are the
 * same for every agent: see tests/e2e/README.md.
 */
final class Agent {
  static final int OK = 20000;
  private static final Pattern STATUS_CODE = Pattern.compile("\\bcode=(\\d{5})");
  private static final CountDownLatch STOPPED = new CountDownLatch(1);

  private Agent() {}

  static void stop() {
    STOPPED.countDown();
  }

  static boolean stopped() {
    return STOPPED.getCount() == 0;
  }

  static void awaitStop() throws InterruptedException {
    STOPPED.await();
  }

  /** Sleeps unless the agent is told to stop. */
  static void pause(long nanoseconds) throws InterruptedException {
    STOPPED.await(nanoseconds, TimeUnit.NANOSECONDS);
  }

  static ClientConfiguration configuration(Options options) {
    ClientConfigurationBuilder configuration =
        ClientConfiguration.newBuilder().setEndpoints(options.text("endpoints")).enableSsl(options.on("tls"));
    String accessKey = System.getenv("MILLRACE_ACCESS_KEY");
    if (accessKey != null) {
      configuration.setCredentialProvider(
          new StaticSessionCredentialsProvider(accessKey, System.getenv("MILLRACE_SECRET_KEY")));
    }
    return configuration.build();
  }

  /** The in-band status code inside an SDK exception, 0 where there is none (outcome unknown). */
  static int codeOf(Throwable error) {
    for (Throwable cause = error; cause != null; cause = cause.getCause()) {
      Matcher found = STATUS_CODE.matcher(String.valueOf(cause.getMessage()));
      if (found.find()) {
        return Integer.parseInt(found.group(1));
      }
    }
    return error == null ? OK : 0;
  }

  static String describe(Throwable error) {
    return error == null ? "" : error.toString();
  }

  static String sha256(ByteBuffer body) {
    try {
      MessageDigest digest = MessageDigest.getInstance("SHA-256");
      digest.update(body.duplicate());
      StringBuilder hex = new StringBuilder();
      for (byte b : digest.digest()) {
        hex.append(String.format("%02x", b));
      }
      return hex.toString();
    } catch (NoSuchAlgorithmException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  interface Work {
    void run() throws Exception;
  }

  static void runWorkers(int count, Work work) throws InterruptedException {
    List<Thread> threads = new ArrayList<>();
    for (int i = 0; i < count; i++) {
      Thread thread = new Thread(() -> {
        try {
          work.run();
        } catch (Exception error) {
          new Line("error").with("error", describe(error)).print();
          Runtime.getRuntime().halt(1);
        }
      });
      thread.start();
      threads.add(thread);
    }
    for (Thread thread : threads) {
      thread.join();
    }
  }

  private static void watchStdin() {
    try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      String line = in.readLine();
      while (line != null && !line.trim().equals("stop")) {
        line = in.readLine();
      }
    } catch (IOException closed) {
      // The same as the end of input.
    }
    stop();
  }

  public static void main(String[] arguments) {
    int status = 0;
    try {
      Options options = new Options(arguments);
      Thread watcher = new Thread(Agent::watchStdin);
      watcher.setDaemon(true);
      watcher.start();
      Closeable client = start(options);
      if (options.on("close")) {
        client.close();
      }
      new Line("end").with("sdk", "java").print();
    } catch (Exception error) {
      new Line("error").with("error", describe(error)).print();
      status = 1;
    }
    Runtime.getRuntime().halt(status); // without a graceful close the SDK's threads would hold the process
  }

  private static Closeable start(Options options) throws Exception {
    switch (options.command) {
      case "send":
        return Send.run(options);
      case "simple":
        return Consume.runSimple(options);
      case "push":
        return Consume.runPush(options);
      default:
        throw new IllegalArgumentException(
            "unknown command " + options.command + ": use send, simple or push");
    }
  }
}
