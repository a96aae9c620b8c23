# `make quickstart` and `make test` are all that a visitor needs; `make check` is what CI runs.
PYTHON ?= python3
VENV ?= .venv
QUICKSTART_DIR ?= quickstart
BENCH_DATA ?= ../shared/data/xquad.en.json
BENCH_VOCAB ?= ../shared/data/vocab-uncased.txt
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# A file's tests stay in one process, which keeps what they share; the order is that of tests/conftest.py. A process that
# dies ends the run with the name of its test: with others in its place pytest-xdist waits for ever for tests that it lost.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder --max-worker-restart=0
SOURCES := bert_squad tests benchmarks examples run_squad.py setup.py

.PHONY: help
help:
	@echo "make quickstart   train, predict, evaluate, export and ask on the embedded example"
	@echo "make test         run the tests"
	@echo "make check        format, lint, types, tests: what CI runs"
	@echo "make check-all    the same with the slow tests, and the tests on each Python that is found. Slow tests that ask"
	@echo "                  exports elsewhere (TensorFlow 2.1.4, 2.6.2, 2.12.1, OpenVINO, ONNX, Gradio) download what they need to"
	@echo "                  \$$BERT_SQUAD_TEST_ENVIRONMENTS, default ~/.cache/bert_squad/environments, and keep it: 7 GB"
	@echo "make bench        measure speed against peers, at MiniLM's size and at BERT-base's"
	@echo "make peers        install torch and transformers, for comparisons"
	@echo "make lock         pin the present environment in requirements.lock"

$(INSTALLED): requirements.lock setup.py
	@sh tools/make_venv.sh "$(PYTHON)" "$(VENV)"
	@touch $@

.PHONY: venv peers lock
venv: $(INSTALLED)

peers: $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-peers.txt

lock:
	$(BIN)/pip freeze --exclude-editable >requirements.lock

.PHONY: quickstart
quickstart: $(INSTALLED)
	$(BIN)/python examples/quickstart/run.py --output_dir=$(QUICKSTART_DIR) $(if $(QUESTION),--question="$(QUESTION)")

# The fast tests on each Python that is found, in an environment of its own (3 GB each, kept).
.PHONY: test-pythons
test-pythons:
	@for version in 3.11 3.12 3.13; do \
	  python=$$(command -v python$$version || ls -d $$HOME/.pyenv/versions/$$version.*/bin/python 2>/dev/null | tail -1); \
	  if [ -z "$$python" ]; then echo "Python $$version is not here: not tried"; continue; fi; \
	  echo "Python $$version: $$python"; \
	  $(MAKE) test PYTHON=$$python VENV=$(VENV)-$$version || exit 1; \
	done

.PHONY: test test-all
test: $(INSTALLED)
	$(PYTEST) -m "not slow"

test-all: $(INSTALLED)
	$(PYTEST)

.PHONY: format lint types check check-all
format: $(INSTALLED)
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lint: $(INSTALLED)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)

types: $(INSTALLED)
	$(BIN)/mypy

check: lint types test

check-all: lint types test-all test-pythons

.PHONY: bench
bench: $(INSTALLED)
	$(BIN)/python benchmarks/stages.py --data_file=$(BENCH_DATA) --vocab_file=$(BENCH_VOCAB)
	$(BIN)/python benchmarks/stages.py --data_file=$(BENCH_DATA) --vocab_file=$(BENCH_VOCAB) --noheader \
	  --bert_config_file=benchmarks/bert_base.json --stages=training,prediction --train_batches=1 --predict_batches=6 --rounds=3
	$(BIN)/python benchmarks/program.py --data_file=$(BENCH_DATA) --vocab_file=$(BENCH_VOCAB)
