# Everything is done by the scripts in tools/, which run without make.
PYTHON ?= python3
export SERIES STAGE ARGS KEEP

.PHONY: test lint format stop clean

test:
	@$(PYTHON) tools/run_tests.py

lint:
	@$(PYTHON) tools/lint.py

format:
	@$(PYTHON) tools/lint.py --fix

stop:
	@$(PYTHON) tools/postgres.py stop

clean: stop
	rm -rf build
