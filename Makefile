# Everything is done by the scripts in tools/, which run without make.
PYTHON ?= python3
export SERIES STAGE ARGS KEEP
export PYTHONDONTWRITEBYTECODE = 1

.PHONY: demo test lint format screenshots stop clean

demo:
	@$(PYTHON) tools/demo.py

test:
	@$(PYTHON) tools/run_tests.py

lint:
	@$(PYTHON) tools/lint.py

format:
	@$(PYTHON) tools/lint.py --fix

screenshots:
	@$(PYTHON) tools/screenshots.py

stop:
	@$(PYTHON) tools/demo.py stop

clean:
	@$(PYTHON) tools/demo.py clean
