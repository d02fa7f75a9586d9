# The vocabulary of this tree. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

RELEASE := build/release
PROGRAMS := millrace millrace-nameserver millrace-broker millrace-proxy
test test-kills test-long: export MILLRACE_BIN ?= $(CURDIR)/$(RELEASE)/bin
# End-to-end tests measure time on the whole machine; they say themselves that nothing runs beside them.
CTEST := ctest --output-on-failure --no-tests=error -j$(shell nproc)
# With MILLRACE_LONG: a million operations, every crash point.
LONGER := '^(core_property_test|core_allocation_test|log_crash_test)$$'
FUZZ_SECONDS ?= 60
DATA ?= data

# One after the other: they share the machine and the folders below build/.
.NOTPARALLEL:
.PHONY: help build run test test-all test-release test-kills test-long test-deep test-asan test-tsan test-thread-safety \
  test-image test-kubernetes example bench fuzz clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

build: ## Build the programs into build/release/bin (installs what the build needs)
	@scripts/install-build-deps
	@test -f $(RELEASE)/build.ninja || cmake --preset release
	ninja -C $(RELEASE) $(PROGRAMS)

run: build ## Start nameserver, broker and proxy in one process, data below ./data
	exec $(RELEASE)/bin/millrace up --data ./$(DATA)

test: test-release ## Unit, integration, wire and end-to-end tests
	$(CTEST) --test-dir $(RELEASE) -LE '^long$$'

test-all: ## All of that, the long tests, sanitizers, fuzz targets; started again it goes on where it was
	@scripts/test-all test test-kills test-long test-deep test-asan test-tsan test-thread-safety fuzz

test-release: # what they need
	@scripts/install-build-deps
	@scripts/install-test-deps
	@test -f $(RELEASE)/build.ninja || cmake --preset release
	ninja -C $(RELEASE)

test-kills: test-release ## Twenty rounds of kill -9 under load
	E2E_LONG=1 python3 -B tests/e2e/run.py kill

test-long: test-release ## The long end-to-end tests
	E2E_LONG=1 $(CTEST) --test-dir $(RELEASE) -L '^long$$'

test-deep: test-release ## A million operations, every crash point
	MILLRACE_LONG=1 $(CTEST) --test-dir $(RELEASE) -R $(LONGER)

test-asan: ## Unit and integration tests under the address and undefined-behaviour sanitizers
	@scripts/install-build-deps
	@test -f build/asan/build.ninja || cmake --preset asan
	ninja -C build/asan
	$(CTEST) --test-dir build/asan -L '^(unit|integration)$$'

test-tsan: ## The same under the thread sanitizer
	@scripts/install-build-deps
	@test -f build/tsan/build.ninja || cmake --preset tsan
	ninja -C build/tsan
	TSAN_OPTIONS="suppressions=$(CURDIR)/libs/rpc/tsan_suppressions.txt ignore_noninstrumented_modules=1" \
	$(CTEST) --test-dir build/tsan -L '^(unit|integration)$$'

test-thread-safety: ## Compile with Clang's thread-safety analysis; needs clang-16
	@if command -v clang++-16 >/dev/null; then \
	  cmake --preset thread-safety >/dev/null && ninja -C build/thread-safety $(PROGRAMS) && \
	  echo 'thread-safety: the programs compile without a warning'; \
	else echo 'skipped: thread-safety (no clang++-16; apt-get install clang-16)'; fi

test-image: ## Build every image of the Dockerfile with docker or podman, look into it and run it
	python3 -B tests/image/image_test.py

test-kubernetes: build test-image ## Images and chart on the cluster of KUBECONFIG (tests/kubernetes/README.md)
	@scripts/install-test-deps
	python3 -B -u tests/kubernetes/run.py

example: ## With `make run` in another terminal: two official SDKs exchange the lines of a text file
	@scripts/install-test-deps python java
	examples/run

bench: ## Store and path benchmarks beside a bare gRPC server (needs an idle machine)
	@scripts/install-build-deps
	@test -f $(RELEASE)/build.ninja || cmake --preset release
	ninja -C $(RELEASE)
	$(RELEASE)/bin/store_bench
	python3 bench/run.py

fuzz: ## Each fuzz target for FUZZ_SECONDS on its corpus; needs clang-16
	@if command -v clang++-16 >/dev/null; then tests/fuzz/run $(FUZZ_SECONDS); \
	else echo 'skipped: fuzz (no clang++-16; apt-get install clang-16)'; fi

clean: ## Remove what was built; ./data stays
	rm -rf build
