# Everything is done by the scripts in tools/, which run without make.
PYTHON ?= python3
export SERIES STAGE ARGS KEEP SEED
export PYTHONDONTWRITEBYTECODE = 1

.PHONY: demo test operations faults bench soak lint format translations screenshots stop clean

demo:
	@$(PYTHON) tools/demo.py

test:
	@$(PYTHON) tools/run_tests.py

operations:
	@STAGE=operations $(PYTHON) tools/run_tests.py

faults:
	@STAGE=faults $(PYTHON) tools/run_tests.py

bench:
	@STAGE=bench $(PYTHON) tools/run_tests.py

soak:
	@STAGE=soak $(PYTHON) tools/run_tests.py
	@$(PYTHON) tools/plant_bugs.py

lint:
	@$(PYTHON) tools/lint.py

format:
	@$(PYTHON) tools/lint.py --fix

translations:
	@$(PYTHON) tools/translations.py

screenshots:
	@$(PYTHON) tools/screenshots.py

stop:
	@$(PYTHON) tools/demo.py stop

clean:
	@$(PYTHON) tools/demo.py clean
