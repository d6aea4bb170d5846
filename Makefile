# The commands for developers and CI. Requires python3 (>= 3.11) with venv, and make.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
export MPLCONFIGDIR ?= $(CURDIR)/.venv/matplotlib

.PHONY: env demo new-recipe report verify pack predict onnx test chaos test-slurm gpu-check gpu-packages slurm docs pictures \
	format lock browser clean

# The whole workflow on a synthetic survey: two cores, no GPU, no download of data.
demo: .venv/installed
	$(BIN)/snakemake --cores 2 --resources gpu=1 --configfile recipes/demo.yaml

# A recipe for your own images: make new-recipe NAME=mine DATA=path/to/data
new-recipe: export NAME ?=
new-recipe: export DATA ?=
new-recipe: .venv/installed
	@$(BIN)/python -m salt.own_tiles.new_recipe --name "$$NAME" --data "$$DATA"

# The report of what there is of a run, at any time: make report RUN=demo
report: export RUN ?=
report: .venv/installed
	@$(BIN)/python -m salt.report.so_far --run "results/$$RUN"

# Compares all files of a run with what its programs recorded: make verify RUN=demo; REPAIR=1 removes what is damaged.
verify: export RUN ?=
verify: .venv/installed
	@$(BIN)/python -m salt.verify.verify_run --run "$$RUN" $(if $(REPAIR),--repair)

# One file with the networks of a finished run: make pack RUN=demo, with kernels of half precision with HALF=1
pack: export RUN ?=
pack: .venv/installed
	@$(BIN)/python -m salt.packs.pack --run "results/$$RUN" $(if $(HALF),--half)

# Masks of images by such a file, without the run: make predict PACK=demo.pack.zip IMAGES=path/to/images
predict: export PACK ?=
predict: export IMAGES ?=
predict: export COMPUTE ?= {}
predict: .venv/installed
	@$(BIN)/python -m salt.packs.predict --pack "$$PACK" --images "$$IMAGES" --compute "$$COMPUTE"

# A network for other programs: make onnx RUN=demo MODEL=stage3_lite FOLD=0, of one snapshot with SNAPSHOT=phase1_last
onnx: export RUN ?=
onnx: export MODEL ?=
onnx: export FOLD ?= 0
onnx: export SNAPSHOT ?=
onnx: .venv/installed
	@$(BIN)/python -m salt.packs.onnx_export --run "results/$$RUN" --model "$$MODEL" --fold "$$FOLD" --snapshot "$$SNAPSHOT"

test: .venv/installed browser
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/snakefmt --check Snakefile
	$(BIN)/mypy
	$(BIN)/pytest

# Kills a run fifty times at random moments, and damages its disk and checkpoints; `make test` does this ten times.
chaos: .venv/installed
	$(BIN)/pytest tests/workflow/test_chaos.py --kills 50 -s

# The tiny run on a SLURM cluster of one node, which it builds in a folder and stops: for root on Debian.
test-slurm: .venv/installed slurm
	$(BIN)/pytest tests/workflow/test_slurm.py --slurm

# Everything that needs a GPU, in at most 8 minutes: build/gpu-check/check.json. Where there is no environment, it uses
# $(PYTHON) with PYTHONPATH.
gpu-check:
	$(if $(wildcard .venv/installed),$(BIN)/python,$(PYTHON)) -m benchmarks.gpu_check

# The packages for gpu-check on a machine that has PyTorch and no network: build/gpu-packages.tar.xz.
gpu-packages: .venv/installed
	$(BIN)/python -m benchmarks.gpu_packages

slurm:
	@command -v slurmctld >/dev/null && command -v slurmd >/dev/null && command -v munged >/dev/null || \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq install -y --no-install-recommends \
		slurmctld slurmd slurm-client munge >/dev/null; }

format: .venv/installed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/snakefmt Snakefile

# Generates docs/configuration.md, which explains every key of the config, from the schema.
docs: .venv/installed
	$(BIN)/python -m schemas.configuration_page

# Draws the pictures of README.md from the finished demo. Needs Chromium and its driver.
pictures: .venv/installed
	PYTHONPATH=. $(BIN)/python docs/pictures/draw.py results/demo

env: .venv/installed

# The environment, from the hash-locked list: about 4 minutes and 6 GB (torch with CUDA, which also runs on CPUs).
.venv/installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	touch $@

# Generates requirements.lock from the ranges in pyproject.toml: exact versions and hashes, for Python 3.11 and newer.
# uv is not installed in .venv: only this target uses it.
lock:
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --disable-pip-version-check uv
	.venv-lock/bin/uv pip compile --quiet pyproject.toml --group dev --universal --python-version 3.11 \
		--generate-hashes --no-header --upgrade --output-file requirements.lock
	rm -r .venv-lock

# The tests open the report in a browser if there is one; CI installs Debian's Chromium.
browser:
	@if [ -n "$$CI" ] && ! command -v chromedriver >/dev/null && command -v apt-get >/dev/null; then \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y chromium chromium-driver >/dev/null; fi

clean:
	rm -rf .venv .snakemake build results/*/
