package millrace.e2e;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The command line: a command, then pairs of --name and value. */
final class Options {
  final String command;
  private final Map<String, String> values = new HashMap<>(Map.ofEntries(
      Map.entry("endpoints", ""), Map.entry("topic", ""), Map.entry("name", "java"), Map.entry("tls", "off"),
      Map.entry("close", "off"), Map.entry("count", "0"), Map.entry("first", "0"), Map.entry("rate", "0"),
      Map.entry("workers", "1"), Map.entry("tag", ""), Map.entry("keys", ""), Map.entry("properties", ""),
      Map.entry("sizes", "100"), Map.entry("group", ""), Map.entry("filter", "*"), Map.entry("batch", "16"),
      Map.entry("invisible", "30"), Map.entry("wait", "5"), Map.entry("action", "ack"),
      Map.entry("handler-ms", "0"), Map.entry("fail", "none")));

  Options(String[] arguments) {
    if (arguments.length == 0) {
      throw new IllegalArgumentException("the first argument must be send, simple or push");
    }
    command = arguments[0];
    for (int i = 1; i < arguments.length; i += 2) {
      String name = arguments[i].replaceFirst("^--", "");
      if (!values.containsKey(name)) {
        throw new IllegalArgumentException("unknown option " + arguments[i]);
      }
      if (i + 1 == arguments.length) {
        throw new IllegalArgumentException("option " + arguments[i] + " has no value");
      }
      values.put(name, arguments[i + 1]);
    }
  }

  String text(String name) {
    return values.get(name);
  }

  int number(String name) {
    return Integer.parseInt(values.get(name));
  }

  boolean on(String name) {
    return values.get(name).equals("on");
  }

  List<String> words(String name) {
    List<String> words = new ArrayList<>();
    for (String word : values.get(name).split(",")) {
      if (!word.isEmpty()) {
        words.add(word);
      }
    }
    return words;
  }
}
