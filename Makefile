# The commands people type. Each works on a fresh clone: `make setup` runs first, and is quick when nothing changed.
SHELL := /bin/sh
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

BIN := .venv/bin
PACKAGES := libs/mesh services/profile services/preference services/variable services/tunevector services/recommender cli
# Files of tests side by side: each process has a database and a mesh of its own.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile
# Everything a person wrote; `wildcard` because bench/ is a folder that a slim clone may leave out.
CODE := $(PACKAGES) $(wildcard scripts tests bench) protos/generate.py

.PHONY: help setup setup-all run test lint format proto docs lock bench quality clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r name text; do \
		printf '  make %-8s %s\n' "$$name" "$$text"; done

setup: ## makes .venv from locks/; the other commands do it by themselves
	@scripts/setup

setup-all:
	@scripts/setup --extra bench

run: setup ## starts the whole mesh and prints what to type next; PORT=8081 make run for another port
	@exec $(BIN)/rhythmiq up $(if $(PORT),--port $(PORT))

# A part of the tests says nothing about coverage, so ARGS="tests/unit -k etag" measures none.
test: setup ## all tests with branch coverage, at least 90%; ARGS="tests/unit -k etag" for some
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@rm -f .coverage .coverage.*
	@status=0; $(BIN)/python -m coverage run -m pytest $(PARALLEL) || status=$$?; \
	$(BIN)/python -m coverage combine --quiet; \
	$(BIN)/python -m coverage report || { [ $$status -ne 0 ] || status=2; }; \
	exit $$status
endif

lint: setup-all ## ruff, mypy --strict, buf lint, generated files are current, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy $(CODE)
	@$(BIN)/python protos/generate.py --check --lint
	@$(BIN)/python scripts/configuration.py --check
	@$(BIN)/lint-imports

format: setup ## puts the code into shape
	@$(BIN)/ruff check --fix --exit-zero .
	@$(BIN)/ruff format .

proto: setup ## generates stubs and the edge's descriptors from protos/
	@$(BIN)/python protos/generate.py

docs: setup ## generates docs/configuration.md from the settings classes
	@$(BIN)/python scripts/configuration.py

lock: setup ## resolves locks/*.txt anew; UPGRADE=1 takes newer versions
	@$(BIN)/python scripts/lock.py $(if $(UPGRADE),--upgrade)

bench: setup-all ## measures speed: a table and JSON; never part of make test
	@$(BIN)/python -m bench $(ARGS)

quality: setup-all ## proves quality on real data: a table and JSON; DATA=DIR names the folder of data sets
	@$(BIN)/python -m bench.quality "$(or $(DATA),$(RHYTHMIQ_DATA_DIR),../shared/data)" $(ARGS)

clean: ## removes .venv and everything that was made, except the mesh's data in .state
	@rm -rf .venv .venv.lock .venv.bootstrap .coverage .coverage.* htmlcov .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
