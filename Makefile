# Two commands: `make lab` opens the course, `make test` checks it. Both make .venv once and reuse it.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN    := .venv/bin
READY  := .venv/ready
LANES   = build/lanes/$(LANE)
FIT    := import sys; sys.exit(sys.version_info < (3, 11) and \
          f"The course needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}.")

# A cache of the real data beside the course is used where there is one.
ifneq ($(wildcard ../shared/data/.),)
export NN_COURSE_DATA ?= $(abspath ../shared/data)
endif

# JupyterLab refuses root unless told, and without a screen it prints its address.
LAB := $(if $(filter 0,$(shell id -u)),--allow-root) \
       $(if $(DISPLAY)$(WAYLAND_DISPLAY)$(filter Darwin,$(shell uname -s)),,--no-browser)

.PHONY: lab test notebooks app store reproduce bench exercises consolidate site lane coverage mutants format

lab: $(READY)                    ## open the course in JupyterLab
	$(BIN)/jupyter lab $(LAB)

test: $(READY)                   ## run every test and every notebook, and compare every output
	$(BIN)/pytest -n 2 --dist loadscope --nbval

notebooks: $(READY)              ## execute all notebooks headless and print a table
	$(BIN)/python -m tools.run

app: $(READY)                    ## draw, and be recognised, on http://127.0.0.1:8000
	$(BIN)/python -m app

store: $(READY)                  ## NOTEBOOK=path: execute one notebook and keep its outputs
	$(BIN)/python -m tools.run --store $(NOTEBOOK)

reproduce: $(READY)              ## ID=row of results/claims.toml, or all: measure it at full size
	$(BIN)/python -m tools.reproduce $(ID)

bench: $(READY)                  ## time our loops beside others; on a quiet machine, please
	for name in nn_speed one_speed knn_speed plates_speed app_load imports archive; do \
	  $(BIN)/python -m benchmarks.$$name --path results/benchmarks/$$name.json || exit 1; done
	$(BIN)/python -m tools.readme

exercises: $(READY)              ## write the students' notebooks to build/exercises/
	$(BIN)/python -m tools.exercises

consolidate: $(READY)            ## make PythonMLCourse.ipynb anew from its lessons, and execute it
	$(BIN)/python -m tools.consolidate

site: $(READY)                   ## render the course as a web site in build/site/html
	$(BIN)/python -m tools.site

coverage: $(READY)               ## which lines and branches the tests reach; below 95 % is an error
	$(BIN)/pytest -n 2 --dist loadscope --cov --cov-report=term tests

mutants:                         ## small faults in utils/nn and utils/data, one hour: which pass the tests?
	$(PYTHON) -m venv build/mutants
	build/mutants/bin/pip install --quiet --disable-pip-version-check -r requirements.txt mutmut==3.8.1
	timeout 60m build/mutants/bin/mutmut run --max-children 2; build/mutants/bin/mutmut results

lane:                            ## LANE=newest or colab: the tests with other versions of libraries
	mkdir -p $(LANES) && $(PYTHON) -m tools.lanes $(LANE) > $(LANES)/requirements.txt
	$(PYTHON) -m venv $(LANES)/venv
	$(LANES)/venv/bin/pip install --quiet --disable-pip-version-check -r $(LANES)/requirements.txt
	$(LANES)/venv/bin/pytest -n 2 --dist loadscope --nbval > $(LANES)/tests.log 2>&1; failed=$$?; \
	$(LANES)/venv/bin/python -m tools.lanes $(LANE) --report $(LANES)/tests.log \
	  > $(LANES)/report.md; cat $(LANES)/report.md; exit $$failed

format: $(READY)                 ## bring notebooks, code and the README tables into their one form
	$(BIN)/python -m tools.format

$(READY): requirements.txt
	@$(PYTHON) -c '$(FIT)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@
