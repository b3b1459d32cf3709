# make train: create the environment, train on the bundled sample, export a SavedModel and print a prediction.
# make test: create the environment and run the tests; make test-all: also the slow ones, and more on each backend.
# make fuzz: corrupt files and absurd arguments, for about an hour; SEED repeats a run.
# make faults: full and read-only disks, killed downloads and runs; SEED chooses when they are killed.
# make docs: the documentation as a site, in site/.
# make notebooks: execute examples/*.ipynb again, from the scripts in examples/notebooks.
# make examples: what the tests of the examples need. make bench: compare the speed with PyTorch and Pillow.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# In collection order the slow tests of training do not come last, where one process would wait for the other.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
RUN := runs/$(shell date +%Y%m%d-%H%M%S)-sample

.PHONY: train test test-all test-backends examples notebooks bench lint format fuzz faults docs

train: $(VENV)/ready
	$(BIN)/python train_keras.py --output $(RUN)
	$(BIN)/keras_cct predict $(RUN)/saved_model examples/images/sneaker.png
	@echo "report: $(RUN)/report.html"

test: $(VENV)/ready
	KERAS_BACKEND=tensorflow $(PYTEST) -m "not slow"

test-all: $(VENV)/ready-backends
	KERAS_BACKEND=tensorflow $(PYTEST)
	KERAS_BACKEND=jax $(PYTEST) -m "not tensorflow" $(PORTABLE)
	KERAS_BACKEND=torch $(PYTEST) -m "not tensorflow" $(PORTABLE)

# What depends on the backend: the models, their weights, and how they train and are exported.
PORTABLE := --ignore tests/models/test_summary.py $(addprefix tests/,layers models explanation/test_maps.py \
	weights/test_mapping.py weights/test_adapt.py weights/test_files.py test_create.py test_saved_models.py \
	inference/test_predictors.py export/test_saved_model.py export/test_tensorflow_process.py \
	$(addprefix training/test_,torch_optimizers.py optimizers.py losses.py distillation.py setup.py state.py \
	checkpoints.py average.py devices.py processes.py run.py resume.py))
ONCE_PER_BACKEND := -m "not tensorflow and not slow and not one_backend" $(PORTABLE)

# The tests call each program a few times only: without LLVM's optimizations XLA compiles it in half the time, and a
# program that several tests need is compiled once.
test-backends: $(VENV)/ready-backends
	cache=$$(mktemp -d) && trap 'rm -r "$$cache"' EXIT && KERAS_BACKEND=jax XLA_FLAGS=--xla_backend_optimization_level=0 \
		JAX_COMPILATION_CACHE_DIR="$$cache" JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0 $(PYTEST) $(ONCE_PER_BACKEND)
	KERAS_BACKEND=torch $(PYTEST) $(ONCE_PER_BACKEND)

# The KServe environment and onnxruntime-web; without them the tests of these examples are skipped.
examples: $(VENV)-serving/ready examples/browser/node_modules

notebooks: $(VENV)/ready-notebooks
	$(BIN)/python tools/make_notebooks.py

fuzz: $(VENV)/ready
	KERAS_BACKEND=tensorflow KERAS_CCT_FUZZ_SECONDS=180 KERAS_CCT_FUZZ_SEED=$${SEED:-$$(date +%s)} $(BIN)/python -m pytest tests/fuzz -rP

faults: $(VENV)/ready
	KERAS_BACKEND=tensorflow KERAS_CCT_FAULTS=20 KERAS_CCT_FAULTS_SEED=$${SEED:-3} $(BIN)/python -m pytest tests/faults -rP

# VIT_PYTORCH=path/to/vit_pytorch/cct.py and COMPACT_TRANSFORMERS=path/to/the/clone: the PyTorch code to compare with.
bench: $(VENV)/ready-backends
	$(BIN)/python -m pip install --quiet --constraint constraints.txt einops
	KERAS_BACKEND=tensorflow $(BIN)/python benchmarks/run_all.py $(if $(VIT_PYTORCH),--vit-pytorch $(VIT_PYTORCH)) \
		$(if $(COMPACT_TRANSFORMERS),--compact-transformers $(COMPACT_TRANSFORMERS))

# Warnings are errors: links to pages, files and headings that do not exist, and names without a docstring.
docs: $(VENV)/ready-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "site: site/index.html; search needs a server: $(BIN)/python -m http.server --directory site"

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,onnx,openvino,litert,hub]"
	touch $@

$(VENV)-serving/ready: examples/serving/requirements.txt
	$(PYTHON) -m venv $(VENV)-serving
	$(VENV)-serving/bin/python -m pip install --quiet --requirement examples/serving/requirements.txt
	$(VENV)-serving/bin/python -m pip install --quiet --no-deps --editable .
	touch $@

examples/browser/node_modules: examples/browser/package.json
	if command -v npm >/dev/null; then npm install --prefix examples/browser --no-package-lock --no-audit --ignore-scripts --silent; fi

$(VENV)/ready-notebooks: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[notebooks]"
	touch $@

$(VENV)/ready-docs: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	touch $@

$(VENV)/ready-backends: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,onnx,openvino,litert,hub,jax,torch]"
	touch $@
