# What waits for which check. A graph is named or used only once it passed: each target below depends on the check in
# order alone (after a bar), so that a changed bound checks graphs again but makes nothing of them again.

# $(call checks_of,GRAPHS): of files or names of graphs in onnx/.
checks_of = $(patsubst %,$(OUT)/checks/%.onnx.check.json,$(basename $(notdir $1)))
# In a rule of encoder.int8.onnx, encoder.web.int8.onnx, encoder.fp16.trt.onnx: the check of encoder.onnx.
fp32_check = $(call checks_of,$(firstword $(subst ., ,$(@F))).onnx)

$(META): | $(CHECKS)

made_of_fp32 := $(VARIED_NAMES:%=$(OUT)/onnx/%.onnx) $(ORT_INT8:%=$(ORT)/encoder.%.onnx) \
                  $(EVERY:%=$(OUT)/onnx/%.trt.onnx) $(VARIED_NAMES:%=$(OUT)/onnx/%.trt.onnx)
$(made_of_fp32): | $$(fp32_check)

# Calibration runs the frontend, and for joint and step all that decodes.
calibrated := $(foreach v,equalized int8-qdq,$(VARIED:%=$(OUT)/onnx/%.$v.onnx)) $(ORT)/encoder.android.int8.onnx \
                $(PTE)/encoder.int8.pte $(PTE)/encoder.ultra.pte
$(calibrated): | $(call checks_of,$(frontend))
$(calibrated_joint): | $(call checks_of,$(decoding:=.onnx))

# Of a variant its own check too, which measures it where there is something to measure it on.
$(call ort_files,fp32 fp16): | $$(call checks_of,$$(source.$$(ort_form)))

$(BENCH)/bench.json $(BENCH)/words.json: | $(call checks_of,encoder.onnx rnnt_step.onnx)

.PHONY: $(EVERY:=.onnx)
$(EVERY:=.onnx) $(VARIED_NAMES:=.onnx): %.onnx: $(OUT)/checks/%.onnx.check.json
onnx: $(CHECKS)
$(PTE_EVERY:=.pte): %.pte: $(OUT)/checks/%.pte.check.json
pte: $(PTE_NAMES:%=$(OUT)/checks/%.pte.check.json)
transcribe: | $(call checks_of,$(filter $(addsuffix .onnx,$(EVERY) $(VARIED_NAMES)),$(notdir $(first_graphs))))
evaluate: | $(if $(CTC),$(call checks_of,ctc.onnx))
