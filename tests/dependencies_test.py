"""Dependencies between our libraries point one way; sources keep to the format; documents name what exists.

    python3 tests/dependencies_test.py        MILLRACE_BIN: directory of the programs (README's commands are tried)
"""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = pathlib.Path(os.environ.get("MILLRACE_BIN", ROOT / "build/release/bin"))

# Who may use whom. A new folder below libs/ needs a line here.
LIBRARIES = {
    "auth": {"base", "config", "http", "io", "rpc"},
    "base": set(),
    "io": {"base"},
    "config": {"base"},
    "model": {"base"},
    "http": {"base"},
    "process": {"base", "config"},
    "link": {"base"},
    "store": {"base", "io"},
    "core": {"base"},
    "rpc": {"base"},
    "naming": {"base", "rpc", "protos"},
}
SERVICES = {"nameserver", "broker", "proxy"}
# Headers without code that a library shares with one that may not link it.
SHARED_HEADERS = {("core", "store/log_format.h")}
# The core has no clock, thread, file, socket or random source (docs/decisions: flat events).
CORE_FORBIDS = re.compile(r"<(thread|mutex|condition_variable|future|chrono|ctime|fstream|iostream|filesystem|random|"
                          r"unistd\.h|fcntl\.h|pthread\.h|sys/.*|netinet/.*)>")

SOURCES = {".h", ".cc", ".proto", ".py", ".cmake", ".go", ".java", ".yaml"}
LINES_MAX = 650
COLUMNS_MAX = 120


def unit_of(path):
    """The library, service or program that a source belongs to: "store", "services/proxy", "cli"; None: free."""
    parts = path.parts
    if parts[0] == "libs":
        return parts[1]
    if parts[0] == "services" and len(parts) > 2:
        return f"services/{parts[1]}"
    return "cli" if parts[0] == "cli" else None


def allowed(unit):
    libraries = set(LIBRARIES) | {"protos"}
    if unit == "cli":
        return libraries | {f"services/{name}" for name in SERVICES} | {"cli"}
    if unit.startswith("services/"):
        return libraries | {unit}
    return LIBRARIES.get(unit, set()) | {unit}


def unit_of_include(name):
    first = name.split("/")[0]
    if name.endswith(".pb.h"):
        return "protos"
    if first == "services":
        return "/".join(name.split("/")[:2])
    return first


def source_files(root):
    for top in ("libs", "services", "cli"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix in (".h", ".cc"):
                yield path.relative_to(root)


def check_includes(root):
    problems = []
    for path in source_files(root):
        unit = unit_of(path)
        if unit is None or unit not in LIBRARIES and not unit.startswith("services/") and unit != "cli":
            problems.append(f"{path}: no line for it in LIBRARIES of tests/dependencies_test.py")
            continue
        for number, line in enumerate((root / path).read_text().splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+(["<])([^">]+)[">]', line)
            if not match:
                continue
            for_tests = path.name.endswith("_test.cc") or "testing" in path.parts
            if for_tests and (match[1] == "<" or match[2].split("/")[0] in ("gtest", "gmock")):
                continue
            problem = judge_include(unit, match[1], match[2])
            if problem:
                problems.append(f"{path}:{number}: {problem}")
    return problems


def judge_include(unit, quote, name):
    if re.match(r"(grpc|grpcpp|grpc\+\+)/", name):
        return None if unit == "rpc" else f"{name}: only libs/rpc speaks gRPC"
    if name.startswith("google/protobuf"):
        return f"{name}: protobuf may not enter {unit}" if unit in LIBRARIES and unit != "naming" else None
    if quote == "<":
        forbidden = unit == "core" and CORE_FORBIDS.match(f"<{name}>")
        return f"{name}: the core gets this from its shell as an event" if forbidden else None
    if name.split("/")[0] in ("absl", "spdlog", "openssl"):
        return None
    if (unit, name) in SHARED_HEADERS or unit_of_include(name) in allowed(unit):
        return None
    return f"{unit} may not include {name}; it may use {', '.join(sorted(allowed(unit)))}"


def library_targets(root):
    """Target -> (unit, names of the targets that it depends on)."""
    targets = {}
    for path in sorted(root.rglob("CMakeLists.txt")):
        relative = path.relative_to(root)
        if relative.parts[0] not in ("libs", "services", "cli", "protos"):
            continue
        text = re.sub(r"#.*", "", path.read_text())
        unit = "protos" if relative.parts[0] == "protos" else unit_of(relative.parent / "x.cc")
        for name in re.findall(r"add_library\((\S+)", text):
            targets[name] = (unit, set())
        for name, body in re.findall(r"millrace_library\((\w+)([^)]*)\)", text):
            deps = body.split("DEPS", 1)[1] if "DEPS" in body else ""
            targets[f"millrace_{name}"] = (unit, set(re.findall(r"millrace_\w+", deps)))
    return targets


def check_targets(root):
    problems = []
    targets = library_targets(root)
    for name, (unit, deps) in targets.items():
        for dep in sorted(deps):
            if dep not in targets:
                problems.append(f"{name}: DEPS names {dep}, which does not exist")
            elif targets[dep][0] not in allowed(unit):
                problems.append(f"{name} ({unit}) may not depend on {dep} ({targets[dep][0]})")
    return problems


def check_layers():
    """LIBRARIES itself must not have a cycle."""
    done = {"protos"}
    while len(done) <= len(LIBRARIES):
        ready = {name for name, uses in LIBRARIES.items() if name not in done and uses <= done}
        if not ready:
            return [f"these use each other: {', '.join(sorted(set(LIBRARIES) - done))}"]
        done |= ready
    return []


def our_files(root):
    """Without what is built or downloaded, and without files that are wrong on purpose."""
    for directory, names, files in os.walk(root):
        names[:] = [n for n in names if n not in ("build", "data", ".git", "__pycache__", "node_modules", "target",
                                                  "testdata")]
        for name in files:
            yield (pathlib.Path(directory) / name).relative_to(root)


def check_format(root, paths):
    problems = []
    for path in paths:
        if path.suffix not in SOURCES and path.name != "CMakeLists.txt":
            continue
        lines = (root / path).read_text(errors="replace").split("\n")
        tabs_are_style = path.suffix == ".go"
        if len(lines) - 1 > LINES_MAX:
            problems.append(f"{path}: {len(lines) - 1} lines; split what is above {LINES_MAX}")
        for number, line in enumerate(lines, 1):
            if "\t" in line and not tabs_are_style:
                problems.append(f"{path}:{number}: a tab; use spaces")
            if len(line) > COLUMNS_MAX:
                problems.append(f"{path}:{number}: {len(line)} columns; break the line at {COLUMNS_MAX}")
            if line != line.rstrip():
                problems.append(f"{path}:{number}: spaces at the end of the line")
    return problems


def check_links(root, paths):
    """Relative links of Markdown documents."""
    problems = []
    for path in paths:
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", (root / path).read_text()):
            if "://" not in target and not (root / path.parent / target).exists():
                problems.append(f"{path}: the link to {target} leads nowhere")
    return problems


def commands_of(root, document):
    """Lines of ```sh blocks, without the prompt."""
    for block in re.findall(r"```sh\n(.*?)```", (root / document).read_text(), re.S):
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"\s#.*", "", line.strip().removeprefix("$ "))
            if line:
                yield line


def check_commands(root, document, help_of):
    """Make targets and `millrace` commands with their flags. `help_of(words)` is a command's help, None: unknown."""
    problems = []
    makefile = (root / "Makefile").read_text()
    for line in commands_of(root, document):
        for target in re.findall(r"\bmake ([a-z-]+)", line):
            if not re.search(rf"^{target}:", makefile, re.M):
                problems.append(f"{document}: make {target} is no target of the Makefile")
        for command in re.findall(r"(?:^|[|;&/]\s*)millrace ([^|;&]*)", line):
            words = command.split()
            names = [word for word in words[:2] if re.fullmatch(r"[a-z]+", word)]
            names = names[:1] if names[:1] in (["up"], ["version"], ["help"]) else names
            text = help_of(names)
            if text is None:
                problems.append(f"{document}: millrace {' '.join(names)} is no command")
                continue
            for flag in re.findall(r"(?<=\s)--[a-z-]+", command) if names != ["up"] else []:
                if flag not in text:
                    problems.append(f"{document}: millrace {' '.join(names)} has no {flag}")
    return problems


def help_of_program(words):
    run = subprocess.run([BIN / "millrace", "help", *words], capture_output=True, text=True)
    return run.stdout if run.returncode == 0 else None


class TheTree(unittest.TestCase):
    def report(self, problems):
        self.assertFalse(problems, "\n" + "\n".join(problems))

    def test_includes_point_one_way(self):
        self.report(check_layers() + check_includes(ROOT))

    def test_targets_point_one_way(self):
        self.report(check_targets(ROOT))

    def test_format(self):
        self.report(check_format(ROOT, our_files(ROOT)))

    def test_links(self):
        self.report(check_links(ROOT, our_files(ROOT)))

    @unittest.skipUnless((BIN / "millrace").exists(), f"no {BIN}/millrace: run `make build`")
    def test_commands_of_the_readme(self):
        self.report(check_commands(ROOT, "README.md", help_of_program))


class TheCheck(unittest.TestCase):
    """The checks find what they are for."""

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.root = pathlib.Path(self.temporary.name)

    def put(self, path, text):
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)
        return pathlib.Path(path)

    def test_include_upwards(self):
        self.put("libs/base/a.cc", '#include "store/commit_log.h"\n')
        self.assertIn("base may not include store/commit_log.h", check_includes(self.root)[0])

    def test_include_downwards_is_fine(self):
        self.put("libs/store/a.cc", '#include "base/bytes.h"\n#include "io/file_system.h"\n#include <vector>\n')
        self.put("libs/core/a.cc", '#include "store/log_format.h"\n')
        self.put("services/proxy/a.cc", '#include "services/proxy/b.h"\n#include "millrace/v1/admin.pb.h"\n')
        self.put("cli/a.cc", '#include "services/proxy/b.h"\n')
        self.assertEqual(check_includes(self.root), [])

    def test_services_include_each_other(self):
        self.put("services/proxy/a.cc", '#include "services/broker/broker.h"\n')
        self.assertEqual(len(check_includes(self.root)), 1)

    def test_grpc_and_protobuf_outside(self):
        self.put("services/proxy/a.cc", "#include <grpcpp/grpcpp.h>\n")
        self.put("libs/store/a.cc", "#include <google/protobuf/message.h>\n")
        self.put("libs/store/b.cc", '#include "millrace/v1/admin.pb.h"\n')
        self.assertEqual(len(check_includes(self.root)), 3)

    def test_the_core_has_no_clock(self):
        self.put("libs/core/a.cc", "#include <chrono>\n")
        self.assertEqual(len(check_includes(self.root)), 1)

    def test_a_new_library_needs_a_line(self):
        self.put("libs/other/a.cc", "")
        self.assertIn("LIBRARIES", check_includes(self.root)[0])

    def test_target_upwards_and_unknown(self):
        self.put("libs/base/CMakeLists.txt", "millrace_library(base SOURCES a.cc\n  DEPS millrace_store absl::time)\n")
        self.put("libs/store/CMakeLists.txt", "millrace_library(store SOURCES a.cc DEPS millrace_nothing)\n")
        problems = check_targets(self.root)
        self.assertIn("millrace_base (base) may not depend on millrace_store (store)", problems)
        self.assertEqual(len(problems), 2)

    def test_format_of_a_bad_file(self):
        path = self.put("a.cc", "\tx\n" + "y" * 121 + "\n" + "z \n" + "\n" * 650)
        self.assertEqual(len(check_format(self.root, [path])), 4)

    def test_broken_link(self):
        self.put("there.md", "")
        path = self.put("README.md", "[a](there.md#x) [b](nowhere.md) [c](https://example.org)\n")
        self.assertEqual(len(check_links(self.root, [path])), 1)

    def test_commands_that_do_not_exist(self):
        self.put("Makefile", "run: build\n")
        self.put("README.md", "```sh\n$ make run\nmake fly  # up\nmillrace topic create t --queues 8 --wings 2\n"
                              "echo a | millrace message sing\n```\n")
        known = {"topic create": "--queues N"}
        problems = check_commands(self.root, "README.md", lambda words: known.get(" ".join(words)))
        self.assertEqual([p.split(": ", 1)[1] for p in problems],
                         ["make fly is no target of the Makefile", "millrace topic create has no --wings",
                          "millrace message sing is no command"])


if __name__ == "__main__":
    unittest.main()
