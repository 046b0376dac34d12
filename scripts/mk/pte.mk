# ExecuTorch files: pte/GRAPH.FORM.pte and beside each its manifest (.json). Forms of the encoder: fp32 (nothing
# delegated), xnnpack (fp32 by XNNPACK), int8 (static), ultra (forms of int8 and int4 layer by layer).

# Feature frames that an encoder takes at most, and a frontend gives: 30 s of speech, or 12.8 s of a swipe.
PTE_MAX_FRAMES        ?= $(if $(filter swipe,$(TASK)),512,3001)
# 1: calibrate on noise instead of CALIB_MANIFEST; 1: write fp32 under the name of what cannot be quantized.
SYNTHETIC_CALIBRATION ?=
FALLBACK_TO_FP32      ?=
# Error of the encoder's output that ultra may have (root mean square beside fp32).
PTE_ULTRA_MAX_RMS     ?= 0.05
# Points of word error rate or top-1 that int8 and ultra may lose.
MAX_PTE_DELTA         ?= 1.0

PTE       := $(OUT)/pte
PTE_FORMS := fp32 xnnpack int8 ultra
# Graphs that there is one form of: fp32 by XNNPACK.
PTE_WHOLE := rnnt_step $(if $(frontend),frontend)
PTE_NAMES := $(PTE_FORMS:%=encoder.%) $(PTE_WHOLE) $(if $(STREAMING),encoder_streaming.xnnpack)

pte_options       = --checkpoint $(OUT)/checkpoint --max-frames $(PTE_MAX_FRAMES)
pte_data          = $(if $(CALIB_MANIFEST),--manifest $(CALIB_MANIFEST)) $(addprefix --frontend ,$(frontend))
pte_calibration   = $(pte_data) --batches $(CALIB_BATCHES) --batch-size $(CALIB_BATCH_SIZE) \
    $(if $(SYNTHETIC_CALIBRATION),--synthetic-calibration) $(if $(FALLBACK_TO_FP32),--fallback-to-fp32) \
    $(if $(EXCLUDE),--exclude '$(EXCLUDE)')
pte_options.int8  = $(pte_calibration)
pte_options.ultra = $(pte_calibration) --max-relative-rms $(PTE_ULTRA_MAX_RMS)

$(eval $(call flags,pte,PTE_MAX_FRAMES=$(PTE_MAX_FRAMES)))
$(eval $(call flags,pte.int8,$(strip $(pte_options.int8))))
$(eval $(call flags,pte.ultra,$(strip $(pte_options.ultra))))
$(eval $(call flags,pte-check,MAX_PTE_DELTA=$(MAX_PTE_DELTA)))

# $(call pte_rule,form): the encoder in one form.
define pte_rule
$(PTE)/encoder.$1.pte $(PTE)/encoder.$1.json &: $(CHECKPOINT) $(OUT)/.flags/pte $(call worker,lower_pte_$1) \
    $(if $(pte_options.$1),$(OUT)/.flags/pte.$1 $(frontend) $(CALIB_MANIFEST))
	@printf '  %-9s %s\n' LOWER $(PTE)/encoder.$1.pte
	$$(call run,lower_pte_$1) $(pte_options) $(pte_options.$1) --output $(PTE)/encoder.$1.pte
endef
$(foreach form,$(PTE_FORMS),$(eval $(call pte_rule,$(form))))

# $(call pte_whole_rule,graph)
define pte_whole_rule
$(PTE)/$1.pte $(PTE)/$1.json &: $(CHECKPOINT) $(if $(filter frontend,$1),$(OUT)/.flags/pte) \
    $(call worker,lower_pte_xnnpack)
	@printf '  %-9s %s\n' LOWER $(PTE)/$1.pte
	$$(call run,lower_pte_xnnpack) --graph $1 $(pte_options) --output $(PTE)/$1.pte
endef
$(foreach graph,$(PTE_WHOLE),$(eval $(call pte_whole_rule,$(graph))))

$(PTE)/encoder_streaming.xnnpack.pte $(PTE)/encoder_streaming.xnnpack.json &: $(CHECKPOINT) $(META) \
    $(call worker,lower_pte_xnnpack)
	@printf '  %-9s %s\n' LOWER $(PTE)/encoder_streaming.xnnpack.pte
	$(call run,lower_pte_xnnpack) --graph encoder_streaming $(pte_options) --streaming $(OUT)/meta/model_meta.json \
	    --output $(PTE)/encoder_streaming.xnnpack.pte

# Accuracy with the encoder of a form and the other files, beside PyTorch's own.
pte_accuracy       = $(OUT)/checks/$(if $(filter swipe,$(TASK)),top1,wer).encoder.$1.pte.check.json
pte_delta.int8     = $(MAX_PTE_DELTA)
pte_delta.ultra    = $(MAX_PTE_DELTA)
# $(call pte_accuracy_rule,form)
define pte_accuracy_rule
$(call pte_accuracy,$1): $(PTE)/encoder.$1.pte $(PTE_WHOLE:%=$(PTE)/%.pte) $(META) \
    $(if $(filter swipe,$(TASK)),$(CHECKPOINT_TOP1) $(OUT)/.flags/top1,$(CHECKPOINT_WER) $(VALIDATION) $(OUT)/.flags/wer) \
    $(OUT)/.flags/pte-check $(call worker,$(pte_evaluate))
	$$(call say,EVALUATE)
	$$(call run,$(pte_evaluate)) $$(pte_evaluated)
endef
ifeq ($(TASK),swipe)
pte_evaluate  := evaluate_swipe
pte_evaluated  = --encoder $< --step $(PTE)/rnnt_step.pte --meta $(OUT)/meta/model_meta.json $(search_flags) \
    --reference $(CHECKPOINT_TOP1) --max-top1-delta $(or $(pte_delta$(suffix $(<:.pte=))),$(MAX_TOP1_DELTA)) --output $@
else
pte_evaluate  := evaluate_wer
pte_evaluated  = --model $(OUT) --frontend ../pte/frontend.pte --encoder ../pte/$(<F) --step ../pte/rnnt_step.pte \
    --segment-seconds $(SEGMENT_SECONDS) --manifest $(manifest) --reference $(CHECKPOINT_WER) \
    --max-wer-delta $(or $(pte_delta$(suffix $(<:.pte=))),$(MAX_WER_DELTA)) --output $@
endif
$(foreach form,$(PTE_FORMS),$(eval $(call pte_accuracy_rule,$(form))))

# Bounds: fp32 forms by their largest error on noise, the others by the root mean square on real data.
pte_bounds.fp32    = --max-abs $(PARITY_MAX_ABS)
pte_bounds.xnnpack = --max-abs $(PARITY_MAX_ABS) --min-delegated 0.9 --base $(PTE)/encoder.fp32.pte
pte_bounds.int8    = --max-relative-rms $(MAX_RMS.int8-qdq) --min-delegated 0.9 --base $(PTE)/encoder.fp32.pte \
    --max-size $(if $(FALLBACK_TO_FP32),1.1,0.35) $(pte_data)
pte_bounds.ultra   = --max-relative-rms $(MAX_RMS.int4) --min-delegated 0.9 --base $(PTE)/encoder.fp32.pte \
    --max-size $(if $(FALLBACK_TO_FP32),1.1,0.30) $(pte_data)
pte_checks         = $(PTE_NAMES:%=$(OUT)/checks/%.pte.check.json)

# $(call pte_check_rule,name,bounds,accuracy)
define pte_check_rule
$(OUT)/checks/$1.pte.check.json: $(PTE)/$1.pte $(filter %.pte,$2) $3 $(CHECKPOINT) $(OUT)/.flags/check $(call worker,check_pte)
	$$(call say,CHECK)
	$$(call run,check_pte) --pte $$< --checkpoint $(OUT)/checkpoint $2 $(addprefix --accuracy ,$3) --output $$@
.PHONY: $1.pte
$1.pte: $(PTE)/$1.pte
endef
$(foreach form,$(PTE_FORMS),$(eval $(call pte_check_rule,encoder.$(form),$(strip $(pte_bounds.$(form))),$(if \
    $(VALIDATION),$(call pte_accuracy,$(form))))))
$(eval $(call pte_check_rule,rnnt_step,--max-abs $(PARITY_MAX_ABS) --min-delegated 0.9))
$(eval $(call pte_check_rule,frontend,--max-abs $(FRONTEND_MAX_ABS) --min-delegated 0.9))
$(eval $(call pte_check_rule,encoder_streaming.xnnpack,--max-abs $(PARITY_MAX_ABS) --min-delegated 0.9))

## ExecuTorch
.PHONY: pte pte-check
encoder.fp32.pte encoder.xnnpack.pte encoder.int8.pte encoder.ultra.pte rnnt_step.pte frontend.pte: ## one of them
pte: $(PTE_NAMES:%=$(PTE)/%.pte) ## the encoder in four forms, the step, and speech's frontend, for ExecuTorch
pte-check: $(pte_checks)         ## error, delegation, sizes and accuracy of each
