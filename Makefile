# make app: the page; make test: all tests. Each does its own set-up from a fresh clone.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CHROMIUM := $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
POSTGRESQL := $(shell command -v initdb || ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null)

.PHONY: app test lint clean

app: $(VENV)/.requirements
	$(BIN)/python -m pal fetch
	$(BIN)/python app.py

test: $(VENV)/.requirements-dev chromium postgresql
	$(BIN)/python -m pal fetch
	$(BIN)/python -m pytest -q

lint: $(VENV)/.requirements-dev
	$(BIN)/ruff check .

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("PAL needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.requirements: requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install -q -r requirements.txt
	touch $@

$(VENV)/.requirements-dev: requirements-dev.txt $(VENV)/.requirements
	$(BIN)/python -m pip install -q -r requirements-dev.txt
	touch $@

# The browser tests need a Chromium; Debian and Ubuntu get it by themselves when run as root.
.PHONY: chromium
chromium:
ifeq ($(CHROMIUM),)
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y chromium >/dev/null; \
	else echo "No chromium found: the browser tests will be skipped. Install chromium to run them."; fi
endif

# So do the tests of ratings on PostgreSQL, which start a server of their own.
.PHONY: postgresql
postgresql:
ifeq ($(POSTGRESQL),)
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y postgresql >/dev/null; \
	else echo "No PostgreSQL found: its tests will be skipped. Install postgresql to run them."; fi
endif

clean:
	rm -rf $(VENV) .pytest_cache
