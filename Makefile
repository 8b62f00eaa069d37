# The one-command jobs. Everything else is plain CMake: see CMakePresets.json.
#
#   make demo          build, run four unmodified Xe client programs without a GPU, print the report
#   make check         build, run all tests but the long ones
#   make conformance   IGT, Intel's runtimes and OpenCL programs in Debian roots (TESTS=REGEX for a part, FAST=1 for
#                      the CI set, PROFILE=NAME for one device profile)
#   make harmless      ordinary programs with and without softxe: same results (ONLY=REGEX for a part)
#   make twin          drawn programs of memory calls, plain and under softxe, for MINUTES=10 minutes
#   make fuzz          drawn sequences of ioctls and batches, for MINUTES=10 minutes
#   make killed        ends client or runner of a traced run at 200 moments: every trace reads and agrees with its report
#   make pictures      pages and screenshots of three traced runs (wants chromium)
#   make bench         the cost table
#   make soak          random work for MINUTES=1 minutes
#   make mutants       sabotages the source line by line: every mutant must be caught
#   make lint          formatting, clang-tidy, shell syntax
#   make install       PREFIX=/usr/local DESTDIR=
#   make uninstall     removes what the last `make install` has installed
#   make deb           Debian packages of the current commit, in build/deb
#   make distcheck     builds the packages, installs them in a bare Debian 12 root, uses all of it there, removes it;
#                      builds them again: the same files
#   make clean

PRESET  ?= dev
BUILD   ?= build/$(PRESET)
PREFIX  ?= /usr/local
JOBS    ?= $(shell nproc)
MINUTES ?= 1
TESTS   ?=
ONLY    ?=
# Where the Debian root of the conformance run lives; it survives `make clean` when set.
CONFORMANCE_ROOT := $(or $(SOFTXE_CONFORMANCE_ROOT),build/conformance-root)
SOFTXE   = $(BUILD)/src/cli/softxe
EXAMPLES = svm_stores madvise_reset shared_counters saxpy

.DEFAULT_GOAL := help
.PHONY: help deps build demo check conformance conformance-root harmless killed pictures twin fuzz bench soak mutants lint \
        install uninstall deb distcheck clean

help:
	@sed -n '2,/^$$/s/^# \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

deps:
	@tools/deps.sh

build/%/build.ninja: | deps
	@mkdir -p build
	@cmake --preset $* > build/configure-$*.log 2>&1 || { cat build/configure-$*.log; exit 1; }

build: deps $(BUILD)/build.ninja
	@cmake --build $(BUILD) -j $(JOBS)

# Only what the demo runs is built: tests can wait.
demo: deps $(BUILD)/build.ninja
	@cmake --build $(BUILD) -j $(JOBS) --target softxe softxe-preload $(EXAMPLES)
	@$(SOFTXE) doctor || true
	@set -e; for example in $(EXAMPLES); do \
	  echo; echo "\$$ softxe run --summary -- $(BUILD)/examples/$$example"; \
	  $(SOFTXE) run --summary --trace $(BUILD)/demo.sxt -- $(BUILD)/examples/$$example; \
	done
	@$(SOFTXE) view $(BUILD)/demo.sxt -o $(BUILD)/demo.html
	@echo; echo "what happened in the last run, as a page for a browser: $(BUILD)/demo.html"

# Pages and screenshots of three runs; wants Debian's chromium.
pictures: build
	@python3 tests/trace/page.py $(SOFTXE) tests/trace $(BUILD)/pictures --pictures $(BUILD)/examples

killed: build
	@SOFTXE_KILL_ROUNDS=200 SOFTXE_KILL_SEED=$$(date +%s) \
	  python3 tests/trace/live.py $(SOFTXE) $(BUILD)/examples $(BUILD)/killed killed

check: build
	@tools/deps.sh check || echo "check: tests that need these packages are skipped"
	@python3 .ci/run_ctest.py --build $(BUILD) --jobs $(JOBS)

conformance-root:
	@tools/deps.sh build conformance
	@conformance/make_root.sh "$(CONFORMANCE_ROOT)"

# The set of every change leaves runtimes and programs out: their roots are large.
RUNTIME_COUNTS = $(if $(FAST),,$(BUILD)/runtimes-counts.json)

conformance: build conformance-root
	@$(if $(FAST),,python3 conformance/runtimes.py --make-root --root "$(CONFORMANCE_ROOT)-drivers" \
	  --softxe $(SOFTXE) $(if $(TESTS),--tests '$(TESTS)') --counts $(RUNTIME_COUNTS))
	@$(if $(FAST),,python3 conformance/kernels.py --root "$(CONFORMANCE_ROOT)-drivers" \
	  --softxe $(SOFTXE) $(if $(TESTS),--tests '$(TESTS)') --counts $(RUNTIME_COUNTS))
	@$(if $(FAST),,python3 conformance/programs.py --make-root --root "$(CONFORMANCE_ROOT)-programs" \
	  --softxe $(SOFTXE) $(if $(TESTS),--tests '$(TESTS)') --counts $(RUNTIME_COUNTS))
	@python3 conformance/run.py --root "$(CONFORMANCE_ROOT)" --softxe $(SOFTXE) \
	  $(addprefix --add-counts ,$(RUNTIME_COUNTS)) \
	  $(addprefix --profile ,$(PROFILE)) $(if $(FAST),--set conformance/fast.txt) $(if $(TESTS),--tests '$(TESTS)') $(CONFORMANCE_ARGS)

harmless: build
	@tools/deps.sh build harmless
	@python3 tests/harmless/run.py --long --softxe $(SOFTXE) --opener $(BUILD)/tests/harmless/harmless-opener.so \
	  --only '$(ONLY)'

LONG_SECONDS = $$(( $(if $(filter command line,$(origin MINUTES)),$(MINUTES),10) * 60 ))

twin: build
	@python3 tests/twin/twin.py --softxe $(SOFTXE) --player $(BUILD)/tests/twin/softxe-twin-player \
	  --seed $$(date +%s) --seconds $(LONG_SECONDS) --keep build/twin

fuzz: build
	@python3 tests/fuzz_ioctl/fuzz.py --softxe $(SOFTXE) --player $(BUILD)/tests/fuzz_ioctl/softxe-fuzz-player \
	  --seed $$(date +%s) --seconds $(LONG_SECONDS) --keep build/fuzz-finds --counts

bench:
	@tools/deps.sh build bench
	@$(MAKE) --no-print-directory deps build/release/build.ninja
	@cmake --build build/release -j $(JOBS) --target softxe-bench
	@bench/run build/release --root "$(CONFORMANCE_ROOT)-drivers" $(BENCH_ARGS)

soak: build
	@if [ -x tools/soak ]; then tools/soak --build $(BUILD) --minutes $(MINUTES); \
	 else echo "soak: there is no tools/soak here" >&2; exit 1; fi

mutants: build
	@if [ -x tools/mutants ]; then tools/mutants; \
	 else echo "mutants: there is no tools/mutants here" >&2; exit 1; fi

lint: deps
	@tools/deps.sh lint
	@.ci/lint

# Always the optimised build.
install:
	@$(MAKE) --no-print-directory deps build/release/build.ninja
	@cmake --build build/release -j $(JOBS) --target softxe softxe-preload libsoftxe libsoftxe_static man
	@DESTDIR="$(DESTDIR)" cmake --install build/release --prefix "$(PREFIX)"

uninstall:
	@tools/uninstall build/release/install_manifest.txt "$(DESTDIR)"

deb:
	@tools/deps.sh build deb
	@tools/deb build/deb

distcheck: deb
	@tools/deps.sh conformance
	@tests/dist/distcheck build/deb
	@tools/deb build/deb-again
	@tests/dist/compare_builds build/deb build/deb-again

clean:
	rm -rf build/dev build/release build/asan build/tsan build/clang-tsa build/fuzz
