# The environment, tests and lint of this project.

# With PYTHON set by the user, the environment is theirs.
ifeq ($(PYTHON),.venv/bin/python)
  ENV      := .venv/.installed
  TEST_ENV := .venv/.installed-tests
endif
# The newest that is installed; a pyenv shim may stand for a version that does not run.
BASE_PYTHON ?= $(or $(firstword $(foreach minor,13 12 11,$(if \
                 $(shell python3.$(minor) --version 2>/dev/null),python3.$(minor)))),python3.11)

# Address of an index that has PyTorch for CPUs, where the usual one has it for GPUs of NVIDIA, three times the size.
TORCH_INDEX  ?=
torch_pinned = $(shell sed -n '/^torch==/p' requirements.txt)

.venv/.installed: requirements.txt constraints.txt
	$(call say,SETUP)
	$(Q)scripts/make_venv.sh $(BASE_PYTHON) .venv py
	$(if $(TORCH_INDEX),$(Q).venv/bin/pip install --quiet --index-url '$(TORCH_INDEX)' $(torch_pinned))
	$(Q).venv/bin/pip install --quiet --requirement requirements.txt --constraint constraints.txt
	@touch $@

.venv/.installed-tests: tests/requirements.txt .venv/.installed
	$(call say,SETUP)
	$(Q).venv/bin/pip install --quiet --requirement tests/requirements.txt --constraint constraints.txt
	@touch $@

FAMILY ?=
tests = $(if $(FAMILY),$(or $(wildcard $(FAMILY:%=tests/%)),$(error FAMILY is '$(FAMILY)': set it to one or more of \
          $(filter-out __pycache__,$(patsubst tests/%/,%,$(wildcard tests/*/))))),tests)

## Development
.PHONY: test test-slow lint
test: $(TEST_ENV)      ## run the tests, on real checkpoints and runtimes (FAMILY=pte: those of one family)
	$(Q)$(PYTHON) -m pytest $(tests) -m 'not slow' $(TESTFLAGS)
test-slow: $(TEST_ENV) ## the heavy tests: the 0.6B architecture, long audio
	$(Q)$(PYTHON) -m pytest $(tests) -m slow $(TESTFLAGS)
lint: $(TEST_ENV)      ## ruff, mypy, shellcheck, workflows and a few words
	$(Q)$(PYTHON) -m ruff check .
	$(Q)$(PYTHON) -m ruff format --check .
	$(Q)$(PYTHON) -m mypy
	$(Q)$(dir $(PYTHON))shellcheck scripts/*.sh .ci/run
	$(Q)$(dir $(PYTHON))check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(Q)scripts/check_words.sh
