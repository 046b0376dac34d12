# The built forms of an encoder on arm64, the processor of phones, which QEMU emulates: against the same files here.
# Frontend and step run there too.

# Forms to check, by the names of their files.
ARM64_ENCODERS ?= $(addsuffix .onnx,encoder encoder.fp16 encoder.int8 encoder.int8-qdq encoder.web.int8 \
                    encoder.android.int8) $(PTE_FORMS:%=encoder.%.pte)
# Points of word error rate or top-1 that may lie between the processors.
MAX_ARM64_DELTA ?= 0.3

ARM64 := .arm64
$(ARM64)/.installed: scripts/make_arm64.sh requirements.txt $(ENV)
	$(call say,SETUP,$(ARM64))
	$(Q)scripts/make_arm64.sh $(ARM64) $(PYTHON)
	@touch $@

# Where a graph lies, by its name: encoders of phones and browsers have folders of their own.
arm64_file = $(firstword $(filter %/$1,$(addprefix $(PTE)/,$(filter %.pte,$1)) \
               $(ORT_INT8:%=$(ORT)/encoder.%.onnx) $(OUT)/onnx/$1))
# What serves it there.
arm64_program = $(if $(filter %.pte,$*),out/cpp/arm64/serve_program)
arm64_server = $(if $(filter %.pte,$1),"out/cpp/arm64/serve_program","python"$(comma) "py/arm64/serve_graph.py")

# $(call arm64_others,ENCODER): the step, and speech's frontend, of the runtime that the encoder is for.
arm64_others  = $(addsuffix $(suffix $1),rnnt_step $(if $(frontend),frontend))
arm64_graphs  = $(sort $(foreach encoder,$(ARM64_ENCODERS),$(encoder) $(call arm64_others,$(encoder))))
arm64_remotes = $(arm64_graphs:%=$(OUT)/arm64/%.remote)

$(arm64_remotes): $(OUT)/arm64/%.remote: $$(call arm64_file,$$*) $(ARM64)/.installed py/arm64/serve_graph.py \
    $$(arm64_program)
	@mkdir -p $(@D)
	@printf '{"file": "%s", "command": ["%s", %s]}\n' $< $(ARM64)/emulate '$(call arm64_server,$*)' > $@

# The whole validation set as one part, by the files here and by those there.
arm64_heard  = $(ARM64_ENCODERS:%=$(OUT)/arm64/$1.%.json)
arm64_names  = $* $(call arm64_others,$*)
$(call arm64_heard,here): $(OUT)/arm64/here.%.json: \
    $$(foreach name,$$(arm64_names),$$(call arm64_file,$$(name))) $(META) $(measured_on) \
    $(OUT)/.flags/accuracy $(call worker,$(shard_worker))
	$(call say,DECODE)
	$(call run,$(shard_worker)) $(call decode_options,$(foreach name,$(arm64_names),$(call \
	    arm64_file,$(name)))) --shard 1/1 --output $@
$(call arm64_heard,there): $(OUT)/arm64/there.%.json: \
    $$(foreach name,$$(arm64_names),$(OUT)/arm64/$$(name).remote) $(META) $(measured_on) \
    $(OUT)/.flags/accuracy $(call worker,$(shard_worker))
	$(call say,DECODE)
	$(call run,$(shard_worker)) $(call decode_options,$(arm64_names:%=$(OUT)/arm64/%.remote)) --shard 1/1 --output $@

flags.max-arm64-delta = $(MAX_ARM64_DELTA)
arm64_checks := $(ARM64_ENCODERS:%=$(OUT)/checks/arm64.%.check.json)
# An fp32 form has the bound of fp32 graphs.
arm64_fp32 = $(filter encoder.onnx encoder.fp32.pte encoder.xnnpack.pte,$*)
$(arm64_checks): $(OUT)/checks/arm64.%.check.json: $$(call arm64_file,$$*) $(OUT)/arm64/%.remote \
    $(OUT)/arm64/here.%.json $(OUT)/arm64/there.%.json $(META) $(OUT)/.flags/max-arm64-delta $(call worker,arm64/check)
	$(call say,CHECK)
	$(call run,arm64/check) --here $< --there $(OUT)/arm64/$*.remote --found-here $(OUT)/arm64/here.$*.json \
	    --found-there $(OUT)/arm64/there.$*.json --manifest $(or $(if $(filter swipe,$(TASK)),$(TEST)),$(manifest)) \
	    --meta $(OUT)/meta/model_meta.json $(if $(arm64_fp32),--max-abs $(PARITY_MAX_ABS)) \
	    --max-delta $(MAX_ARM64_DELTA) --output $@

## arm64, emulated
.PHONY: arm64-check
arm64-check: $(arm64_checks) ## forms of the encoder on arm64 against the same files here (ARM64_ENCODERS=)
