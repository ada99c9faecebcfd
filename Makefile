# Everything a developer does here. `make setup` first makes the virtual environment; each other
# target does so by itself when it has to.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
RUNS := $(VENV)/.runs
STAMP := $(VENV)/.installed
# The quick tests write and remove many small files: in memory, where there is a gigabyte for it.
IN_MEMORY = $(shell test -w /dev/shm && test "$$(df -Pk /dev/shm | awk 'END { print $$4 }')" -gt 1048576 \
  && echo PYTEST_DEBUG_TEMPROOT=/dev/shm)
PYTHONS := python3.13 python3.12 python3.11 python3

.PHONY: help setup serve test test-all soak bench docs manifests lint format tools clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv and install Moorage into it, editable, with all that developers use

# Who only serves does not wait for the developers' tools.
$(RUNS): pyproject.toml
	@$(call install,Moorage (half a minute the first time),.)
	@touch $(RUNS)

$(STAMP): pyproject.toml
	@$(call install,Moorage and its development tools (a minute or two the first time),.[dev])
	@touch $(RUNS) $(STAMP)

# A name on PATH may be a shim that does not run, so each is tried. Of what pip says, the lines are
# shown that tell how far it is.
define install
set -e -o pipefail; \
if ! $(BIN)/python -c 'import pip' 2>/dev/null; then \
  for name in $(PYTHONS); do \
    if "$$name" -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
      python="$$name"; break; \
    fi; \
  done; \
  if [ -z "$${python:-}" ]; then \
    echo 'setup: Python 3.11 or newer with venv is needed (Debian: apt-get install python3 python3-venv);' \
      'tried $(PYTHONS)' >&2; exit 1; \
  fi; \
  echo "setup: creating $(VENV) with $$("$$python" --version)"; \
  "$$python" -m venv --clear $(VENV); \
fi; \
echo 'setup: installing $(1)'; \
$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -e '$(2)' \
| while read -r verb what rest; do \
  case "$$verb $$what" in \
    'Downloading '*.metadata | 'Using '*.metadata*) ;; \
    'Downloading '*) echo "  downloading $$what $$rest" ;; \
    'Using cached') echo "  already downloaded: $$rest" ;; \
    'Installing collected') echo '  unpacking and compiling' ;; \
  esac; \
done; \
echo 'setup: done'
endef

serve: $(RUNS) ## start the server; ARGS='--listen 127.0.0.1:5000' gives it flags
	$(BIN)/moorage serve $(ARGS)

test: setup ## the quick tests: need nothing but the virtual environment
	@echo 'test: one process a core, four at most (ARGS=-n0: one after another)'
	$(IN_MEMORY) $(BIN)/python -m pytest -m "not needs_tools" -n auto --maxprocesses 4 --dist worksteal $(ARGS)

test-all: setup ## the tests with real services, clients and faults (see make tools); says what it skips
	@echo 'test-all: one process a core, four at most (ARGS=-n0: one after another)'
	$(BIN)/python -m pytest -m needs_tools -rfEs -n auto --maxprocesses 4 --dist worksteal $(ARGS)

soak: setup ## the long tests in full
	MOORAGE_TEST_SCALE=1 $(BIN)/python -m pytest -m "needs_tools and soak" -rfEs -o timeout=0 $(ARGS)

bench: setup ## measure beside other registries, then collection beside pulls (with ARGS only the first, as they say)
	$(BIN)/python -m benchmarks $(ARGS)
	$(if $(ARGS),,$(BIN)/python -m benchmarks.collection)

docs: setup ## make the pages of docs/ that repeat code, and the site of all of them in site/
	$(BIN)/python scripts/generate_docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo 'docs: open site/index.html in a browser; for the search, which browsers allow to servers alone:'
	@echo '  $(BIN)/python -m http.server --bind 127.0.0.1 --directory site 8000   (http://127.0.0.1:8000)'

manifests: setup ## make the manifests of deploy/kubernetes/ from the chart (see make tools: helm)
	HELM="$$(PATH="$${MOORAGE_TOOLS:-$${XDG_CACHE_HOME:-$$HOME/.cache}/moorage-tools}/bin:$$PATH" command -v helm)" \
	  $(BIN)/python scripts/generate_manifests.py

lint: setup ## style, format and types
	@status=0; \
	for check in "ruff check ." "ruff format --check ." "mypy"; do \
	  echo "$$check"; $(BIN)/$$check || status=1; \
	done; \
	exit $$status

format: setup ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tools: ## install the services and clients that test-all needs (root)
	scripts/install-tools $(ARGS)

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) site .mypy_cache .pytest_cache .ruff_cache
