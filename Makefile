# make train: create the environment, train on the bundled sample, export a SavedModel and print a prediction.
# make test: create the environment and run the tests.
# make fuzz: corrupt files and absurd arguments, for about an hour; SEED repeats a run.
# make faults: full and read-only disks, killed downloads and runs; SEED chooses when they are killed.
# make examples: what the tests of the examples need. make bench: compare the speed with PyTorch and Pillow.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# In collection order the slow tests of training do not come last, where one process would wait for the other.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
RUN := runs/$(shell date +%Y%m%d-%H%M%S)-sample

.PHONY: train test test-backends examples bench lint format fuzz faults

train: $(VENV)/ready
	$(BIN)/python train_keras.py --output $(RUN)
	$(BIN)/keras_cct predict $(RUN)/saved_model examples/images/sneaker.png
	@echo "report: $(RUN)/report.html"

test: $(VENV)/ready
	KERAS_BACKEND=tensorflow $(PYTEST)

# What does not depend on the backend: pipelines always use TensorFlow; recipes, facts, archives and downloads use none.
INDEPENDENT := data recipe facts fuzz faults test_architecture.py test_archives.py test_configs.py test_distribution.py \
	test_npz.py cli/test_summary.py evaluation/test_metrics.py evaluation/test_calibration.py explanation/test_models.py \
	explanation/test_pictures.py inference/test_image_files.py models/test_summary.py report/test_evaluation_folder.py \
	weights/test_download.py weights/test_pretrained.py weights/test_torch_file.py
PORTABLE := -m "not tensorflow" $(addprefix --ignore tests/,$(INDEPENDENT))

test-backends: $(VENV)/ready-backends
	KERAS_BACKEND=jax $(PYTEST) $(PORTABLE)
	KERAS_BACKEND=torch $(PYTEST) $(PORTABLE)

# The KServe environment and onnxruntime-web; without them the tests of these examples are skipped.
examples: $(VENV)-serving/ready examples/browser/node_modules

fuzz: $(VENV)/ready
	KERAS_BACKEND=tensorflow KERAS_CCT_FUZZ_SECONDS=180 KERAS_CCT_FUZZ_SEED=$${SEED:-$$(date +%s)} $(BIN)/python -m pytest tests/fuzz -rP

faults: $(VENV)/ready
	KERAS_BACKEND=tensorflow KERAS_CCT_FAULTS=20 KERAS_CCT_FAULTS_SEED=$${SEED:-3} $(BIN)/python -m pytest tests/faults -rP

# VIT_PYTORCH=path/to/vit_pytorch/cct.py and COMPACT_TRANSFORMERS=path/to/the/clone: the PyTorch code to compare with.
bench: $(VENV)/ready-backends
	$(BIN)/python -m pip install --quiet --constraint constraints.txt einops
	KERAS_BACKEND=tensorflow $(BIN)/python benchmarks/run_all.py $(if $(VIT_PYTORCH),--vit-pytorch $(VIT_PYTORCH)) \
		$(if $(COMPACT_TRANSFORMERS),--compact-transformers $(COMPACT_TRANSFORMERS))

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,onnx,openvino,litert]"
	touch $@

$(VENV)-serving/ready: examples/serving/requirements.txt
	$(PYTHON) -m venv $(VENV)-serving
	$(VENV)-serving/bin/python -m pip install --quiet --requirement examples/serving/requirements.txt
	$(VENV)-serving/bin/python -m pip install --quiet --no-deps --editable .
	touch $@

examples/browser/node_modules: examples/browser/package.json
	if command -v npm >/dev/null; then npm install --prefix examples/browser --no-package-lock --no-audit --ignore-scripts --silent; fi

$(VENV)/ready-backends: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,onnx,openvino,litert,jax,torch]"
	touch $@
