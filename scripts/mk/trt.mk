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
# Only a make that is asked for engines reads what follows.
trt_goals := trt-% %.plan everything

## TensorRT
.PHONY: trt-backends trt-engines trt-check trt-bench
trt-backends: ## what of TensorRT this machine has, and what is missing
trt-engines:  ## engines of TRT_ENGINES
trt-check:    ## compare engines with ONNX Runtime, and their WER with PyTorch's
trt-bench:    ## latency and throughput of engines

ifneq ($(filter $(trt_goals),$(MAKECMDGOALS)),)

# TRT_ID, TRT_GPU, TRT_MISSING. No timestamp tells that a GPU or a package changed, so they are found at every run; make
# starts again if they differ.
TRT_FOUND := $(OUT)/trt/backend.mk
find_tensorrt = $(call run,trt/find) --backend '$(TRT_BACKEND)' --arch '$(TRT_ARCH)' --trtexec $(TRTEXEC)
$(TRT_FOUND): FORCE $(call worker,trt/find)
	$(find_tensorrt) --output $@
include $(TRT_FOUND)

trt_folder = $(OUT)/trt/$(TRT_ID)
trt_graph  = $(firstword $(subst ., ,$1))
# An engine can be asked for by name too: encoder.int8-qdq.plan.
trt_named := $(sort $(TRT_ENGINES) $(patsubst %.plan,%,$(notdir $(filter %.plan,$(MAKECMDGOALS)))))
trt_plans  = $(TRT_ENGINES:%=$(trt_folder)/%.plan)
trt_checks = $(TRT_ENGINES:%=$(OUT)/checks/$(TRT_ID).%.plan.check.json)
trt_benches = $(TRT_ENGINES:%=$(trt_folder)/%.bench.json)

# bf16 is the fp16 graph typed anew. It is no variant for other runtimes, which hardly compute in bf16.
$(addprefix $(OUT)/onnx/,$(addsuffix .onnx,$(filter %.bf16,$(trt_named)))): $(OUT)/onnx/%.bf16.onnx: $(OUT)/onnx/%.fp16.onnx $(call worker,trt/bf16)
	$(call say,CONVERT)
	$(call run,trt/bf16) --input $< --output $@

# Only encoders take seconds; every other graph's profile is left alone when the seconds change.
trt_ranges = --batch $(TRT_MIN_B) $(TRT_OPT_B) $(TRT_MAX_B) \
    $(if $(filter encoder,$1),--seconds $(TRT_MIN_S) $(TRT_OPT_S) $(TRT_MAX_S))
trt_options = --workspace $(TRT_WORKSPACE) --level $(TRT_LEVEL)

$(foreach engine,$(trt_named),$(eval $(call flags,trt-profile-$(engine),$(strip $(call trt_ranges,$(call \
    trt_graph,$(engine)))))))
$(eval $(call flags,trt-$(TRT_ID),$(strip $(trt_options) $(TRT_GPU))))

# $(call trt_rule,engine,graph)
define trt_rule
$(OUT)/onnx/$1.trt.onnx $(OUT)/checks/$1.trt.onnx.check.json &: $(OUT)/onnx/$1.onnx $(call worker,trt/prepare_graph)
	@printf '  %-9s %s\n' PREPARE $(OUT)/onnx/$1.trt.onnx
	$$(call run,trt/prepare_graph) --graph $2 --input $$< --check $(OUT)/checks/$1.trt.onnx.check.json \
	    --output $(OUT)/onnx/$1.trt.onnx

$(OUT)/trt/profiles/$1.json: $(OUT)/onnx/$1.trt.onnx $(OUT)/.flags/trt-profile-$1 $(call worker,trt/write_profile)
	$$(call say,PROFILE)
	$$(call run,trt/write_profile) --graph $2 --onnx $$< $(call trt_ranges,$2) --output $$@

$(trt_folder)/$1.plan $(trt_folder)/$1.json &: $(OUT)/onnx/$1.trt.onnx $(OUT)/trt/profiles/$1.json \
    $(OUT)/.flags/trt-$(TRT_ID) $(call worker,trt/build)
	@printf '  %-9s %s\n' BUILD $(trt_folder)/$1.plan
	$$(call run,trt/build) --onnx $$< --profile $(OUT)/trt/profiles/$1.json --found $(OUT)/trt/backend.json \
	    $(trt_options) --check $(OUT)/checks/$(TRT_ID).$1.plan.check.json --output $(trt_folder)/$1.plan

.PHONY: $1.plan
$1.plan: $(if $(TRT_ID),$(trt_folder)/$1.plan,trt-missing)
endef
$(foreach engine,$(trt_named),$(eval $(call trt_rule,$(engine),$(call trt_graph,$(engine)))))

# $(call trt_part,predictor,.fp16): the plan of a graph in a precision, else in fp32, as it is found from onnx/; the
# graph itself where neither is among TRT_ENGINES.
trt_part = $(firstword $(patsubst %,../trt/$(TRT_ID)/%.plan,$(filter $1$2,$(TRT_ENGINES)) $(filter $1,$(TRT_ENGINES))) \
    $1.onnx)
trt_accuracy = $(OUT)/checks/$(TRT_ID).accuracy.$1.check.json

# $(call trt_check_rule,engine)
define trt_check_rule
$(OUT)/checks/$(TRT_ID).$1.plan.check.json: $(trt_folder)/$1.plan $(OUT)/onnx/$1.trt.onnx $(call worker,trt/check)
	$$(call say,CHECK)
	$$(call run,trt/check) --onnx $(OUT)/onnx/$1.trt.onnx --engine $$< --output $$@

$(trt_folder)/$1.bench.json: $(trt_folder)/$1.plan $(call worker,trt/bench) | $(trt_plans)
	$$(call say,BENCH)
	$$(call run,trt/bench) --onnx $(OUT)/onnx/$1.trt.onnx --engine $$< --found $(OUT)/trt/backend.json --output $$@
endef
$(foreach engine,$(TRT_ENGINES),$(eval $(call trt_check_rule,$(engine))))

# Each encoder is evaluated with the other graphs of its precision, as ONNX graphs are.
trt_decoded  = $(foreach graph,$(DECODED),$(call trt_part,$(graph),$1))
trt_encoders = $(if $(VALIDATION),$(filter encoder encoder.%,$(TRT_ENGINES)))
$(foreach engine,$(trt_encoders),$(eval $(call accuracy_recipe,$(call trt_accuracy,$(engine)),$(trt_checks) $(call \
    decode_graphs,$(filter %.onnx,$(call trt_decoded,$(engine:encoder%=%)))),$(call trt_decoded,$(engine:encoder%=%)),$(or \
    $(MAX_WER_DELTA),$(MAX_TOP1_DELTA)))))
trt_accuracies = $(foreach engine,$(trt_encoders),$(call trt_accuracy,$(engine)))

trt-backends: $(call worker,trt/find)
	$(find_tensorrt) --tell --output $(TRT_FOUND)
trt-engines: $(if $(TRT_ID),$(trt_plans),trt-missing)
ifneq ($(TRT_GPU),)
trt-check: $(if $(TRT_ID),$(trt_checks) $(trt_accuracies),trt-missing)
	@echo '  PASSED    $(words $(trt_checks)) engines of $(TRT_ID), $(words $(trt_accuracies)) of them on the whole test'
trt-bench: $(if $(TRT_ID),$(trt_benches),trt-missing)
else
# No check is written that anything could take for passed. Who asks for one by name is not told by the exit code that it
# has passed either, but 77, as test harnesses have it for what was skipped; who asks for everything goes on.
trt-check trt-bench:
	@echo '  SKIPPED   $@: nothing was done, because engines run on a GPU only and nvidia-smi finds none'
	@$(if $(filter $@,$(MAKECMDGOALS)),exit 77)
endif
.PHONY: trt-missing
trt-missing:
	@echo 'error: $(TRT_MISSING)' >&2; exit 2

endif
