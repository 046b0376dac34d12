# The rules of TensorRT engines, which only a make that is asked for engines reads.

# TRT_ID, TRT_GPU, TRT_MISSING. No timestamp tells that a GPU or a package changed, so they are found at every run; make
# starts again if they differ.
TRT_FOUND := $(OUT)/trt/backend.mk
find_tensorrt = $(call run,trt/find) --backend '$(TRT_BACKEND)' --arch '$(TRT_ARCH)' --trtexec $(TRTEXEC)
$(TRT_FOUND): FORCE $(call worker,trt/find)
	$(find_tensorrt) --output $@
include $(TRT_FOUND)

trt_folder = $(OUT)/trt/$(TRT_ID)
# An engine can be asked for by name too: encoder.int8-qdq.plan.
trt_named   := $(sort $(TRT_ENGINES) $(patsubst %.plan,%,$(notdir $(filter %.plan,$(MAKECMDGOALS)))))
trt_plans    = $(TRT_ENGINES:%=$(trt_folder)/%.plan)
trt_checks   = $(TRT_ENGINES:%=$(OUT)/checks/$(TRT_ID).%.plan.check.json)
trt_benches  = $(TRT_ENGINES:%=$(trt_folder)/%.bench.json)
# In a rule whose stem is an engine's name, as encoder.fp16: its graph.
trt_graph    = $(firstword $(subst ., ,$*))

# bf16 is the fp16 graph with other types. It is not a variant for other runtimes, which hardly compute in bf16.
$(patsubst %,$(OUT)/onnx/%.onnx,$(filter %.bf16,$(trt_named))): $(OUT)/onnx/%.bf16.onnx: $(OUT)/onnx/%.fp16.onnx \
    $(call worker,trt/bf16)
	$(call say,CONVERT)
	$(call run,trt/bf16) --input $< --output $@

trt_batch   = --batch $(TRT_MIN_B) $(TRT_OPT_B) $(TRT_MAX_B)
trt_seconds = --seconds $(TRT_MIN_S) $(TRT_OPT_S) $(TRT_MAX_S)
trt_options = --workspace $(TRT_WORKSPACE) --level $(TRT_LEVEL)

flags.trt-batch     = $(trt_batch)
flags.trt-seconds   = $(trt_seconds)
flags.trt-$(TRT_ID) = $(trt_options) $(TRT_GPU)

# Pattern rules of several targets make all of them at once.
$(OUT)/onnx/%.trt.onnx $(OUT)/checks/%.trt.onnx.check.json: $(OUT)/onnx/%.onnx $(call worker,trt/prepare_graph)
	$(call say,PREPARE,$(OUT)/onnx/$*.trt.onnx)
	$(call run,trt/prepare_graph) --graph $(trt_graph) --input $< --check $(OUT)/checks/$*.trt.onnx.check.json \
	    --output $(OUT)/onnx/$*.trt.onnx

# Only encoders take seconds; every other graph's profile is left alone when the seconds change.
trt_stamps = $(OUT)/.flags/trt-batch $(if $(filter encoder,$(trt_graph)),$(OUT)/.flags/trt-seconds)
$(trt_named:%=$(OUT)/trt/profiles/%.json): $(OUT)/trt/profiles/%.json: $(OUT)/onnx/%.trt.onnx $$(trt_stamps) \
    $(call worker,trt/write_profile)
	$(call say,PROFILE)
	$(call run,trt/write_profile) --graph $(trt_graph) --onnx $< $(trt_batch) \
	    $(if $(filter encoder,$(trt_graph)),$(trt_seconds)) --output $@

$(trt_folder)/%.plan $(trt_folder)/%.json: $(OUT)/onnx/%.trt.onnx $(OUT)/trt/profiles/%.json \
    $(OUT)/.flags/trt-$(TRT_ID) $(call worker,trt/build)
	$(call say,BUILD,$(trt_folder)/$*.plan)
	$(call run,trt/build) --onnx $< --profile $(OUT)/trt/profiles/$*.json --backend $(OUT)/trt/backend.json \
	    $(trt_options) --check $(OUT)/checks/$(TRT_ID).$*.plan.check.json --output $(trt_folder)/$*.plan

.PHONY: $(trt_named:=.plan)
$(trt_named:=.plan): %.plan: $(if $(TRT_ID),$(trt_folder)/%.plan,trt-missing)

$(trt_checks): $(OUT)/checks/$(TRT_ID).%.plan.check.json: $(trt_folder)/%.plan $(OUT)/onnx/%.trt.onnx \
    $(call worker,trt/check)
	$(call say,CHECK)
	$(call run,trt/check) --onnx $(OUT)/onnx/$*.trt.onnx --engine $< --output $@

$(trt_benches): $(trt_folder)/%.bench.json: $(trt_folder)/%.plan $(call worker,trt/bench) | $(trt_plans)
	$(call say,BENCH)
	$(call run,trt/bench) --onnx $(OUT)/onnx/$*.trt.onnx --engine $< --backend $(OUT)/trt/backend.json --output $@

# Each encoder is evaluated with the other graphs of its precision, as ONNX graphs are: the plan of a graph in that
# precision, else in fp32; the graph itself where neither is among TRT_ENGINES.
trt_encoders   = $(if $(VALIDATION),$(filter encoder encoder.%,$(TRT_ENGINES)))
trt_accuracies = $(trt_encoders:%=$(OUT)/checks/$(TRT_ID).accuracy.%.check.json)
trt_part    = $(firstword $(patsubst %,$(trt_folder)/%.plan,$(filter $1$2,$(TRT_ENGINES)) $(filter $1,$(TRT_ENGINES))) \
                $(OUT)/onnx/$1.onnx)
trt_decoded = $(foreach graph,$(DECODED),$(call trt_part,$(graph),$(*:encoder%=%))) \
                $(patsubst %,$(OUT)/onnx/%.onnx,$(filter frontend,$(TRACED)))
trt_onnx    = $(filter %.onnx,$(trt_decoded))
$(trt_accuracies): $(OUT)/checks/$(TRT_ID).accuracy.%.check.json: $(trt_checks) $$(trt_onnx) \
    $(OUT)/.flags/max-delta $(accuracy_inputs)
	$(call say,EVALUATE)
	$(call evaluate,$(trt_decoded),$(call max_delta))

trt-backends: $(call worker,trt/find)
	$(find_tensorrt) --tell --output $(TRT_FOUND)
trt-engines: $(if $(TRT_ID),$(trt_plans),trt-missing)
ifneq ($(TRT_GPU),)
trt-check: $(if $(TRT_ID),$(trt_checks) $(trt_accuracies),trt-missing)
	@echo '  PASSED    $(words $(trt_checks)) engines of $(TRT_ID), $(words $(trt_accuracies)) of them on the whole test'
trt-bench: $(if $(TRT_ID),$(trt_benches),trt-missing)
else
# Without a GPU no check is written. Asked for by name, exit 77, as test harnesses mark what was skipped; as part of
# `everything`, continue.
trt-check trt-bench:
	@echo '  SKIPPED   $@: nothing was done, because engines run on a GPU only and nvidia-smi finds none'
	@$(if $(filter $@,$(MAKECMDGOALS)),exit 77)
endif
.PHONY: trt-missing
trt-missing:
	@echo 'error: $(TRT_MISSING)' >&2; exit 2
