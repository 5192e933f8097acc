# Two commands matter: `make demo` and `make test`. Both need x86-64 Linux, Python 3.11 to 3.13 and make,
# and nothing else: .venv is created once and then reused.

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow lint clean

VENV := .venv
RUN := $(VENV)/bin/python
# The name holds the folder's place, because a virtual environment does not survive being moved.
READY := $(VENV)/.ready-$(shell pwd | cksum | cut -d ' ' -f 1)
# The networks' tests need PyTorch; the demo, which takes much less to install, does not.
READY_TO_TEST := $(READY)-to-test
PIP = $(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Passed on to the command: make demo ARGS="--left a.png --right b.png --calibration c.yaml"
ARGS ?=
FAILED = echo 'The installation failed: see the message above; the same command starts it again.' >&2; exit 1

# The environment has a ROS of its own; what a sourced ROS distribution exports would be mixed into it.
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH COLCON_PREFIX_PATH PYTHONHOME PYTHONPATH RMW_IMPLEMENTATION
unexport ROS_DISTRO ROS_PYTHON_VERSION ROS_VERSION VIRTUAL_ENV _ROS_WHEELS_BOOTSTRAP_COMPLETE
ifdef ROS_DISTRO
unexport LD_LIBRARY_PATH
endif

# Tests on real pictures skip, with the reason, where this folder is not known.
ifeq ($(origin MSDESIS_TEST_DATA),undefined)
ifneq ($(wildcard ../shared/data/.),)
export MSDESIS_TEST_DATA := $(abspath ../shared/data)
endif
endif

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

demo: $(READY) ## Run player, node and recorder on the sample; results in out/demo (ARGS="--left ..." for yours)
	@$(VENV)/bin/msdesis demo --out out/demo $(ARGS)

# What runs nodes against the clock has the machine to itself; the rest shares it, file by file and with a thread each.
# Training has processes of its own: ROS, OpenGL and OpenVINO leave threads behind that it should not share one with.
# Every run takes place, and may have nothing to do (5) where ARGS picks tests.
ALONE := test/ros test/cli/test_benchmark_node.py test/cli/test_demo.py test/cli/test_doctor.py
TOGETHER := -n 2 --dist loadfile
test: $(READY_TO_TEST) ## Run the tests with format, lint, types and import rules (ARGS="-k name" picks some)
	@failed=0; \
	run() { $(RUN) -m pytest -m 'not slow' "$$@" $(ARGS) || [ $$? -eq 5 ] || failed=1; }; \
	run $(ALONE); \
	OMP_NUM_THREADS=1; export OMP_NUM_THREADS; \
	run $(TOGETHER) $(addprefix --ignore=,$(ALONE) test/training) test; \
	run $(TOGETHER) test/training; \
	exit $$failed

test-slow: $(READY_TO_TEST) ## Run the tests that install, build or measure for long
	@$(RUN) -m pytest -m slow --timeout 900 $(ARGS)

lint: $(READY_TO_TEST) ## Check format, lint, types and import rules only
	@$(RUN) -m pytest test/test_lint.py $(ARGS)

clean: ## Remove the environment, results and caches
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One step and one stamp at its end: an interrupted or outdated installation is started afresh (--clear), so that
# no half-written package survives. setuptools comes first, in its pinned version, to build without a second
# environment of unpinned tools.
$(READY): constraints.txt setup.py
	@set -eu; \
	python=''; suitable=''; \
	for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	  "$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || continue; \
	  suitable="$$candidate"; \
	  if "$$candidate" -c 'import ensurepip, venv' 2>/dev/null; then python="$$candidate"; break; fi; \
	done; \
	if [ -z "$$suitable" ]; then \
	  echo 'No Python 3.11, 3.12 or 3.13 was found: install one, or name it with make PYTHON=/path/to/python3.12' >&2; \
	  exit 1; \
	elif [ -z "$$python" ]; then \
	  echo "$$suitable cannot make virtual environments: install its venv package" \
	    '(on Debian and Ubuntu: apt-get install python3-venv)' >&2; \
	  exit 1; \
	fi; \
	echo "Installing into $(VENV) with $$("$$python" --version), once; this downloads about 200 MB."; \
	"$$python" -m venv --clear $(VENV); \
	$(PIP) setuptools && $(PIP) --no-build-isolation -e '.[ros]' || { $(FAILED); }; \
	touch $(READY)

# Adds to the environment of the demo, and only ever adds: what an interruption leaves is completed by the next run.
$(READY_TO_TEST): $(READY)
	@echo "Adding what the tests need, once; this downloads about 300 MB."
	@$(PIP) --no-build-isolation -e '.[ros,export,openvino,synth,dev]' || { $(FAILED); }
	@touch $(READY_TO_TEST)
