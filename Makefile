# The commands of the book. `make book` and `make test` are all that most people need.
#
#   make book      build the pages into _build/html (installs what it needs; no torch)
#   make test      install everything; unit tests, and every notebook rerun and compared
#   make pdf       the book as one PDF, _build/pdf/first-weights.pdf (needs LaTeX; says what is missing)
#   make results   make every stored result again, on this machine's data and device
#   make check     do the stored results still follow from the code? A small part of each, again
#   make bench     how fast networks train here beside a plain loop; what normalization costs;
#                  the memory of every notebook; how soon a widget answers; how fast the pages
#                  open beside a stock Jupyter Book (needs Chromium and npm)
#   make portable  the notebooks again with every instruction set of the CPU, one thread and two
#
# results, check and bench take DEVICE=cuda, or mps.
# torch comes with CUDA from the default index. For the small CPU build name PyTorch's CPU index:
#   make test TORCH_INDEX=<address>

PYTHON ?= python3
DEVICE ?= cpu
CONSTRAINTS ?= constraints.txt
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
NOTEBOOKS := $(wildcard book/*.ipynb)
# What the page shows without scrolling.
NOTEBOOK_LINES := --line-length 84

.PHONY: help book pdf test unit test-browser test-live portable results check bench run-notebooks links lint \
  format lab clean

help:
	@sed -n '3,14s/^# \{0,1\}//p' Makefile

book: $(VENV)/.book
	$(BIN)/jupyter-book build . -W -n --keep-going

pdf: $(VENV)/.book
	$(BIN)/python -m helpers.publishing.press check
	$(BIN)/jupyter-book build . --builder latex -W -n --keep-going
	$(BIN)/python -m helpers.publishing.press _build/latex/first-weights.tex _build/pdf

test: $(VENV)/.everything
	OMP_NUM_THREADS=1 $(BIN)/pytest --nbval -n auto --dist loadfile

unit: $(VENV)/.everything
	OMP_NUM_THREADS=1 $(BIN)/pytest -n auto --dist loadfile tests

test-browser: $(VENV)/.everything
	$(BIN)/pytest tests/browser -n auto

# One kernel at a time: this needs no built book, but the memory of JupyterLab and a browser.
test-live: $(VENV)/.everything
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/live

# Outputs must not depend on the machine: six settings, every cell compared in each. A processor
# without AVX512 would stop at its first instruction, and so has four.
portable: $(VENV)/.everything
	@for capability in default avx2 $$(grep -qw avx512f /proc/cpuinfo && echo avx512); do \
	  for threads in 1 2; do \
	    echo "ATEN_CPU_CAPABILITY=$$capability, $$threads thread(s)"; \
	    ATEN_CPU_CAPABILITY=$$capability OMP_NUM_THREADS=$$threads OMP_WAIT_POLICY=passive \
	      $(BIN)/pytest -q --nbval -n auto --dist loadfile book || exit 1; \
	  done; \
	done

results: $(VENV)/.everything
	for name in $$($(BIN)/python -m helpers list --names); do \
	  $(BIN)/python -m helpers run $$name --device $(DEVICE) || exit 1; \
	done
	$(BIN)/python -m helpers survey --out book/results

check: $(VENV)/.everything
	$(BIN)/python -m helpers check --device $(DEVICE)

bench: $(VENV)/.everything book
	$(BIN)/python -m helpers bench --device $(DEVICE)
	$(BIN)/python -m helpers bench normalization --device $(DEVICE)
	$(BIN)/python -m helpers bench memory
	$(BIN)/python -m helpers bench widgets
	$(BIN)/python -m helpers bench pages

# Run every notebook from a fresh kernel and store its outputs, without what only a kernel has.
run-notebooks: $(VENV)/.everything
	$(BIN)/jupyter nbconvert --to notebook --inplace --execute \
	  --ExecutePreprocessor.record_timing=False $(NOTEBOOKS)
	$(BIN)/python -m helpers.publishing.storing $(NOTEBOOKS)

# Every link to elsewhere, alive? Into a folder of its own, or the pages would be overwritten.
links: $(VENV)/.book
	$(BIN)/jupyter-book build . --builder linkcheck --path-output _build/links

lint: $(VENV)/.everything
	$(BIN)/ruff check .
	$(BIN)/ruff format --check src tests
	$(BIN)/ruff format --check $(NOTEBOOK_LINES) $(NOTEBOOKS)

format: $(VENV)/.everything
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format src tests
	$(BIN)/ruff format $(NOTEBOOK_LINES) $(NOTEBOOKS)

lab: $(VENV)/.everything
	$(BIN)/jupyter lab book/intro.ipynb

clean:
	rm -rf _build

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.book: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(PIP) install -q -c $(CONSTRAINTS) -e ".[book]"
	touch $@

$(VENV)/.everything: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
ifdef TORCH_INDEX
	$(PIP) install -q -c $(CONSTRAINTS) --index-url $(TORCH_INDEX) torch torchvision
endif
	$(PIP) install -q -c $(CONSTRAINTS) -e ".[run,book,test]"
	touch $@ $(VENV)/.book
