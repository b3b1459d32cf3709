# make train: create the environment, train on the bundled sample, export a SavedModel and print a prediction.
# make test: create the environment and run the tests.
# make fuzz: corrupt files for every reader, for about an hour; SEED repeats a run. make faults: full disks, killed downloads.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# In collection order the slow tests of training do not come last, where one process would wait for the other.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder
RUN := runs/$(shell date +%Y%m%d-%H%M%S)-sample

.PHONY: train test test-backends lint format fuzz faults

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

fuzz: $(VENV)/ready
	KERAS_BACKEND=tensorflow KERAS_CCT_FUZZ_SECONDS=225 KERAS_CCT_FUZZ_SEED=$${SEED:-$$(date +%s)} $(BIN)/python -m pytest tests/fuzz -rP

faults: $(VENV)/ready
	KERAS_BACKEND=tensorflow KERAS_CCT_FAULTS=20 $(BIN)/python -m pytest tests/faults

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

$(VENV)/ready-backends: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev,onnx,openvino,litert,jax,torch]"
	touch $@
