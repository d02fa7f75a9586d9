package millrace.e2e;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.Map;

/** One line of the history: an operation and its fields as JSON. */
final class Line {
  // What the SDK's logging prints on System.out must not mix with the history.
  private static final PrintStream OUT = System.out;

  private final Map<String, Object> fields = new LinkedHashMap<>();

  Line(String op) {
    with("op", op);
  }

  Line with(String name, Object value) {
    fields.put(name, value);
    return this;
  }

  void print() {
    StringBuilder text = new StringBuilder();
    write(text, fields);
    text.append('\n');
    byte[] bytes = text.toString().getBytes(StandardCharsets.UTF_8);
    synchronized (OUT) {
      OUT.write(bytes, 0, bytes.length);
      OUT.flush();
    }
  }

  private static void write(StringBuilder out, Object value) {
    if (value == null || value instanceof Number || value instanceof Boolean) {
      out.append(value);
    } else if (value instanceof Map) {
      char separator = '{';
      for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
        out.append(separator);
        quote(out, entry.getKey().toString());
        out.append(':');
        write(out, entry.getValue());
        separator = ',';
      }
      out.append(separator == '{' ? "{}" : "}");
    } else if (value instanceof Collection) {
      char separator = '[';
      for (Object element : (Collection<?>) value) {
        out.append(separator);
        write(out, element);
        separator = ',';
      }
      out.append(separator == '[' ? "[]" : "]");
    } else {
      quote(out, value.toString());
    }
  }

  private static void quote(StringBuilder out, String text) {
    out.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c == '"' || c == '\\') {
        out.append('\\').append(c);
      } else if (c < 0x20) {
        out.append(String.format("\\u%04x", (int) c));
      } else {
        out.append(c);
      }
    }
    out.append('"');
  }
}
