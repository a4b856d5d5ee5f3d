# Lockstep. `make help` lists the targets; everything goes into .venv and build/, nothing is installed elsewhere.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PROTOC_VENV := build/protoc
# Pinned to the letter: generated code must be reproducible. Its output runs on every protobuf and grpcio that
# pyproject.toml admits, newer ones included.
GRPC_TOOLS := grpcio-tools==1.71.2
PROTOS := $(wildcard proto/lockstep/v1/*.proto proto/lockstep/wire/v1/*.proto)
SERVICES := $(addprefix proto/lockstep/v1/,accounts.proto alerts.proto cluster.proto feed.proto ledger.proto market_data.proto \
  orders.proto replication.proto)
CLIENT := clients/python
CODE := proto stream runtime engine sequencer replica marketdata gateway edge posttrade reconciler day clients trials bench ops tests \
  docs/generate.py

NATIVE := $(wildcard engine/native/*.cpp engine/native/*.hpp engine/native/include/lockstep/*.hpp edge/soup/native/*.?pp) \
  trials/chaos/skewed_clock.cpp
CXX_STRICT := -std=c++20 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wnon-virtual-dtor -Werror \
  -Iengine/native/include -Iengine/native -Iedge/soup/native
SEEDS ?= 500
SEED ?= 1
DURATION ?= 120

.DEFAULT_GOAL := help
.PHONY: help setup demo check coverage test acceptance test-all conformance native-checks lint format bench bench-peers sim chaos damage proto proto-check lock sbom docs dashboards clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Create .venv with everything in it (implied by the others)

# The native engine is compiled here, so its sources count too.
$(STAMP): pyproject.toml $(CLIENT)/pyproject.toml CMakeLists.txt ops/setup/find-python $(NATIVE)
	@python=$$(ops/setup/find-python) && echo "setup: $$($$python --version) ($$python)" && $$python -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable $(CLIENT) --editable '.[dev]'
	@ops/setup/link-package
	@touch $@

demo: $(STAMP) ## Real local cluster: trade, kill -9 the primary and the sequencer, prove that nothing was lost
	@$(BIN)/lockstep demo

# These compute and wait for nothing: on all cores.
COMPUTED := tests/trials/simulation tests/engine
# These measure: deadlines on links, silences, a browser that paints without a graphics card. They have the machine to
# themselves.
ALONE := tests/runtime/test_watch.py tests/runtime/test_transport.py tests/trials/chaos/test_run.py \
  tests/edge/http/test_page_browser.py
# The others wait more than they compute, most of them for clusters that they start: three files at a time on two cores.
PYTEST = $(BIN)/python -m pytest -q -m 'not slow' --durations=10 --durations-min=5

# What neither starts processes nor serves: the machines, the engines, and what they are made of.
UNITS := tests/stream tests/engine tests/proto tests/house tests/marketdata tests/sequencer tests/replica tests/gateway \
  tests/edge tests/clients tests/runtime
NOT_UNITS := $(wildcard tests/*/test_*process.py) tests/runtime/etcd tests/house/test_servers.py \
  $(addprefix tests/engine/,test_all_features.py test_engine_alone.py test_extremes.py) \
  $(addprefix tests/replica/test_,damage.py paced_reads.py service.py starting.py scrub.py) \
  $(addprefix tests/gateway/,contract test_books_all_features.py test_cancel_on_disconnect.py test_resume_under_load.py \
    test_service_market_data.py test_service_orders.py test_client_stream.py) \
  $(addprefix tests/edge/soup/test_door,.py _clients.py _failover.py) \
  $(addprefix tests/edge/fix/test_door,.py _failover.py) tests/edge/http/test_page_browser.py \
  $(addprefix tests/edge/rest/,owasp $(addprefix test_,curl.py door.py failover.py schemathesis.py)) \
  $(addprefix tests/clients/test_,async_client.py market_data.py ownership.py sync_client.py) \
  $(addprefix tests/runtime/test_,call_guard.py driver.py half_open.py priority.py stop_request.py watch.py transport.py \
    config_values.py)
UNIT_TESTS = $(UNITS) $(addprefix --ignore=,$(NOT_UNITS))

check: lint ## The inner loop: style, types, and the tests of machines and engines, which start nothing
	@$(BIN)/python -m pytest -q -m 'not slow' -n auto --dist worksteal --durations=5 --durations-min=2 $(UNIT_TESTS)

# The machines are judged by what the simulation does to them, too. Some minutes.
coverage: $(STAMP) ## Branch coverage of what decides, and of what does it: machines and drivers, 95 % at least
	@$(BIN)/python -m coverage erase
	@$(BIN)/python -m coverage run -m pytest -q -m 'not slow' -n auto --dist worksteal $(UNIT_TESTS) tests/ops/operator
	@$(BIN)/python -m coverage run -m pytest -q -m 'not slow' -n auto --dist worksteal \
	  tests/trials/simulation/test_simulation.py tests/trials/simulation/test_regressions.py
	@$(BIN)/python -m coverage combine -q
	@$(BIN)/python -m coverage report --fail-under=95 --show-missing --skip-covered \
	  --include="$$($(BIN)/python -m tests.house.core)"

test: $(STAMP) ## Tests (some minutes; fetches the servers of others that some of them need)
	@ops/setup/get-tools || true
	@ops/setup/get-peers || true
	@$(PYTEST) -n auto --dist worksteal $(COMPUTED)
	@$(PYTEST) -n 3 --dist loadfile $(addprefix --ignore=,$(COMPUTED) $(ALONE))
	@$(PYTEST) $(ALONE)

acceptance: $(STAMP) ## Long scenarios on whole clusters, and a thousand seeds: what `make test` has in short
	@ops/setup/get-tools || true
	@$(BIN)/python -m pytest -q -m slow --ignore=tests/conformance --ignore=tests/engine

test-all: $(STAMP) ## Tests, the slow ones included
	@$(BIN)/python -m pytest -q

conformance: $(STAMP) ## The long comparisons of the engines, with each other and with independent judges
	@$(BIN)/python -m pytest -q -m slow tests/conformance tests/engine

# The runtimes come first: the interpreter that loads the sanitized extension is not built with them.
SANITIZERS = $(shell $(CXX) -print-file-name=libasan.so) $(shell $(CXX) -print-file-name=libubsan.so)

build/sanitized/_core.so: $(STAMP) $(NATIVE) engine/native/build-core
	@engine/native/build-core $(BIN)/python $@ -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined \
	  -fno-sanitize-recover=all

build/sanitized/fuzz: $(NATIVE)
	@mkdir -p build/sanitized
	@$(CXX) $(CXX_STRICT) -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all \
	  engine/native/fuzz_driver.cpp -o $@

build/sanitized/ouch-fuzz: $(NATIVE)
	@mkdir -p build/sanitized
	@$(CXX) $(CXX_STRICT) -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all \
	  edge/soup/native/fuzz_driver.cpp -o $@

native-checks: build/sanitized/_core.so build/sanitized/fuzz build/sanitized/ouch-fuzz ## The native core under sanitizers, a fuzzer, clang-tidy
	@build/sanitized/fuzz 1 400000
	@build/sanitized/ouch-fuzz 1 400000
	@LD_PRELOAD="$(SANITIZERS)" ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 PYTHONPATH=tests \
	  timeout 300 $(BIN)/python -m pytest -q -p native_core --native-core build/sanitized/_core.so \
	  tests/engine/native/test_flash1_vectors.py tests/engine/native/test_engine.py \
	  'tests/engine/native/test_differential.py::test_random_streams_give_the_same_events_and_state[0]'
	@if command -v clang++ >/dev/null; then \
	  clang++ -std=c++20 -O1 -g1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -DLOCKSTEP_LIBFUZZER \
	    -Iengine/native/include -Iengine/native engine/native/fuzz_driver.cpp -o build/sanitized/libfuzzer && \
	  build/sanitized/libfuzzer -max_total_time=15 -max_len=16384 -verbosity=0 -print_final_stats=1; \
	else echo "native-checks: no clang++, so libFuzzer did not run"; fi
	@if command -v clang-tidy >/dev/null; then \
	  clang-tidy --quiet engine/native/fuzz_driver.cpp -- -std=c++20 -Iengine/native/include -Iengine/native; \
	else echo "native-checks: no clang-tidy here"; fi

lint: $(STAMP) proto-check ## Style, types and generated code
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@ops/setup/check-types $(BIN)/mypy
	@$(BIN)/python docs/generate.py --check
	@for file in bench/native_bench.cpp bench/bare_flows.cpp engine/native/example.cpp engine/native/fuzz_driver.cpp \
	  edge/soup/native/fuzz_driver.cpp trials/chaos/skewed_clock.cpp; do \
	  $(CXX) $(CXX_STRICT) -fsyntax-only $$file || exit 1; done

format: $(STAMP) ## Format the code
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

bench: $(STAMP) ## Throughput and latency: engines, a whole local cluster, overload, growth; build/bench has plots and tables
	@$(BIN)/python bench/reference_engine.py
	@$(BIN)/python bench/native_engine.py
	@mkdir -p build && $(CXX) $(CXX_STRICT) -O3 bench/native_bench.cpp -o build/native_bench && build/native_bench
	@mkdir -p build/bench
	@$(CXX) $(CXX_STRICT) -O3 bench/bare_flows.cpp -o build/bare_flows && \
	  $(BIN)/python bench/bare_flows.py --json build/bench/bare_flows.json
	@$(CXX) $(CXX_STRICT) -O3 engine/native/example.cpp -o build/native_example && build/native_example
	@$(BIN)/lockstep bench matching
	@$(BIN)/lockstep bench cluster --json build/bench/cluster.json
	@$(BIN)/lockstep bench overload --json build/bench/overload.json
	@for axis in sessions instruments resting batch; do \
	  $(BIN)/lockstep bench growth --axis $$axis --json build/bench/growth-$$axis.json || \
	    echo "bench: growth by $$axis: orders stayed unanswered, or it failed"; \
	done
	@$(BIN)/python -m lockstep.bench.plots build/bench

bench-peers: $(STAMP) ## Lockstep beside NATS JetStream, Redis and PostgreSQL as replicated logs (fetches their servers)
	@ops/setup/get-peers || true
	@mkdir -p build/bench
	@$(BIN)/lockstep bench peers --json build/bench/peers.json
	@$(BIN)/python -m lockstep.bench.plots build/bench

sim: $(STAMP) ## The whole cluster simulated under faults (SEEDS=n, START=s)
	@$(BIN)/lockstep sim --seeds $(SEEDS) --start $(or $(START),1)

rest-schemathesis: $(STAMP) ## schemathesis at the REST door, all checks (EXAMPLES=n for each operation; some minutes)
	@LOCKSTEP_SCHEMATHESIS_EXAMPLES=$(or $(EXAMPLES),500) $(BIN)/python -m pytest -q -s tests/edge/rest/test_schemathesis.py

odd-frames: $(STAMP) ## 180 000 odd frames at the machines, 120 000 on the links of a real cluster that trades on (SEED=s)
	@LOCKSTEP_ODD_FRAMES=60000 $(BIN)/python -m pytest -q tests/sequencer/test_odd_frames.py \
	  tests/replica/test_odd_frames.py tests/gateway/test_odd_frames.py
	@$(BIN)/python -m lockstep.trials.chaos.odd_run --frames 120000 --seed $(SEED)

damage: $(STAMP) ## Stored files damaged one by one, and what an engine says to each
	@$(BIN)/python -m lockstep.trials.chaos.damage

chaos: $(STAMP) ## Faults on the processes of a real cluster under load, and the proof (SEED=s, DURATION=seconds)
	@mkdir -p build
	@ops/setup/get-tools etcd || true
	@PATH="$(CURDIR)/build/tools/usr/bin:$$PATH" $(BIN)/lockstep chaos --seed $(SEED) --duration $(DURATION) --json build/chaos.json --html build/chaos.html

$(PROTOC_VENV)/.installed: $(STAMP)
	@$(BIN)/python -m venv --clear $(PROTOC_VENV)
	@$(PROTOC_VENV)/bin/python -m pip install --quiet --disable-pip-version-check '$(GRPC_TOOLS)'
	@touch $@

# $(1): the folder that gets the generated code, as a tree of the package. What speaks to etcd is the cluster's alone: its
# text is where its code is, and an argument names it to protoc.
define protoc
	@rm -rf $(1) && mkdir -p $(1)
	@$(PROTOC_VENV)/bin/python -m grpc_tools.protoc -Iproto --python_out=$(1) --pyi_out=$(1) $(PROTOS)
	@$(PROTOC_VENV)/bin/python -m grpc_tools.protoc -Iproto --grpc_python_out=$(1) $(SERVICES)
	@$(PROTOC_VENV)/bin/python -m grpc_tools.protoc -Ilockstep/runtime=runtime --python_out=$(1) --pyi_out=$(1) runtime/etcd/etcd_subset.proto
endef

proto: $(PROTOC_VENV)/.installed ## Generate the Python code of proto/
	@$(PROTOC_VENV)/bin/python proto/generate.py
	$(call protoc,build/generated)
	@cp -R build/generated/lockstep/v1 build/generated/lockstep/wire $(CLIENT)/lockstep/
	@cp -R build/generated/lockstep/runtime .

proto-check: $(PROTOC_VENV)/.installed ## Check that the generated code is current
	@$(PROTOC_VENV)/bin/python proto/generate.py --check
	$(call protoc,build/generated)
	@cd build/generated/lockstep && find . -type f | sed 's#^\./##' | sort | while read -r file; do \
	  case $$file in runtime/*) place=$$file;; *) place=$(CLIENT)/lockstep/$$file;; esac; \
	  cmp -s "$$file" "../../../$$place" || { echo "$$place is not what its .proto says; run 'make proto'"; exit 1; }; \
	done

lock: ## Write the packages of a production host, with their hashes (ops/deploy/requirements.lock)
	@ops/setup/lock-release lock

sbom: ## Write the bill of materials of a release (CycloneDX, build/release/sbom.json)
	@ops/setup/lock-release sbom

docs: $(STAMP) ## Write the reference of the client, the services and the command line into docs/
	@$(BIN)/python docs/generate.py

dashboards: $(STAMP) ## Write the JSON of the Grafana dashboards
	@$(BIN)/python -m lockstep.ops.dashboards.generate

clean: ## Remove everything that make has built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	rm -f engine/native/_core.*.so edge/soup/native/_codec.*.so trials/chaos/skewed_clock.so
