# transducer-export: trained transducer checkpoints in, deployable files out.
# `make help` lists targets and variables; scripts/mk/ holds the rules, one fragment per family.

ifeq ($(filter grouped-target,$(.FEATURES)),)
  $(error GNU Make $(MAKE_VERSION) is too old: install 4.3 or newer)
endif
ifneq ($(words $(CURDIR)),1)
  $(error $(CURDIR) has spaces in its path, which Make cannot handle: move the project)
endif

SHELL       := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS   += --no-builtin-rules --no-builtin-variables
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

## What to build: a config by name, a checkpoint by path, or both.
# With MODEL alone no config is read: another model's settings would be wrong for it.
ifeq ($(origin MODEL),undefined)
  CONFIG ?= demo-tdt
endif
ifneq ($(CONFIG),)
  ifeq ($(wildcard configs/$(CONFIG).mk),)
    $(error There is no configs/$(CONFIG).mk: set CONFIG to one of \
      $(patsubst configs/%.mk,%,$(wildcard configs/*.mk)), or MODEL to a checkpoint)
  endif
  include configs/$(CONFIG).mk
endif

NAME   := $(or $(CONFIG),$(basename $(notdir $(MODEL))))
OUT    ?= out/$(NAME)
PYTHON ?= .venv/bin/python
DEVICE ?= cpu
OPSET  ?= 17
FIXED  ?=
# 1 makes the streaming encoder part of the model.
STREAMING ?=
LAUNCH ?=
V      ?= 0
# Largest absolute difference from PyTorch at which an fp32 graph passes its check.
PARITY_MAX_ABS ?= 1e-4

ifneq ($(words $(MODEL)),1)
  $(error MODEL is '$(MODEL)': give one path without spaces, which Make cannot handle)
endif
ifneq ($(words $(OUT)),1)
  $(error OUT is '$(OUT)': give one path without spaces, which Make cannot handle)
endif

include scripts/mk/lib.mk
include scripts/mk/dev.mk
include scripts/mk/checkpoint.mk
include scripts/mk/train.mk
include scripts/mk/swipe.mk
include scripts/mk/onnx.mk
include scripts/mk/streaming.mk
include scripts/mk/$(if $(filter swipe,$(TASK)),decode_swipe,decode).mk
include scripts/mk/quantize.mk
include scripts/mk/ort.mk
include scripts/mk/pte.mk
include scripts/mk/trt.mk
include scripts/mk/bench.mk
include scripts/mk/runtime.mk
include scripts/mk/package.mk
include $(if $(filter swipe,$(TASK)),scripts/mk/decoders.mk)
include scripts/mk/bundle.mk
include scripts/mk/report.mk
include scripts/mk/demo.mk

## Main targets
.PHONY: all setup help clean
all: onnx meta check ## the model's fp32 graphs, metadata and checks
setup: $(ENV)        ## the Python environment alone
clean:               ## remove the model's build folder
	rm -rf $(OUT)
help:                ## this text
	@scripts/help.sh $(MAKEFILE_LIST)
	@printf '\nVariables, as they are now:\n'
	@printf '  %-15s %s\n' $(foreach v,CONFIG MODEL OUT PYTHON DEVICE OPSET FIXED STREAMING TRT_BACKEND LAUNCH V,$v '$($v)')
	@printf '\nConfigs: %s\n' '$(patsubst configs/%.mk,%,$(wildcard configs/*.mk))'
