# TensorRT engines. A plan runs only with the TensorRT and on the GPU architecture it was built for, so both are in the
# name of its folder: trt/BACKEND-VERSION-ARCH.

# trtexec, polygraphy (TensorRT's Python package) or rtx (TensorRT-RTX, which needs no GPU); unset: the first found.
TRT_BACKEND ?=
# For rtx alone: sm_XY to build for; unset: every GPU that it supports.
TRT_ARCH    ?=
TRTEXEC     ?= trtexec
# Names of graphs in onnx/, and so of engines; a variant's suffix is its precision.
TRT_ENGINES ?= $(trt_graphs) $(trt_graphs:=.fp16)
# What engines are to take: seconds of audio or of a swipe, and streams at once.
TRT_MIN_S   ?= 0.1
TRT_OPT_S   ?= $(if $(filter swipe,$(TASK)),2,$(firstword $(SEGMENT_SECONDS)))
TRT_MAX_S   ?= $(if $(filter swipe,$(TASK)),10,$(lastword $(SEGMENT_SECONDS)))
TRT_MIN_B   ?= 1
TRT_OPT_B   ?= 4
TRT_MAX_B   ?= 16
# MiB of GPU memory that an engine may work in; 0 to 5, how long TensorRT searches for fast kernels.
TRT_WORKSPACE ?= 4096
TRT_LEVEL     ?= 3

trt_graphs = $(filter-out frontend,$(GRAPHS))
# To find TensorRT takes a moment, so only a make that is asked for engines does.
trt_goals := trt-% %.plan everything

## TensorRT
.PHONY: trt-backends trt-engines trt-check trt-bench
trt-backends: ## what of TensorRT this machine has, and what is missing
trt-engines:  ## engines of TRT_ENGINES
trt-check:    ## compare engines with ONNX Runtime, and their WER with PyTorch's
trt-bench:    ## latency and throughput of engines

ifneq ($(filter $(trt_goals),$(MAKECMDGOALS)),)
  include scripts/mk/trt_engines.mk
endif
