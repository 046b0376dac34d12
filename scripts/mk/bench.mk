# Speed: of the encoder's forms, of NeMo's own export and of the int8 recipe in common use; of a swiped word, from
# its points to its n-best, with each form of encoder and step.

BENCH_SECONDS ?= 2 10 30 120
BENCH_THREADS ?= 1 2
BENCH_ROUNDS  ?= 3

BENCH     := $(OUT)/bench
# A file of each form, the fp32 one among them, beside which the others' errors are measured.
BENCH_FORMS ?= nemo common-int8 fp32 $(filter-out equalized,$(VARIANTS))
form.nemo        = $(BENCH)/nemo.onnx
form.common-int8 = $(BENCH)/common.onnx
form.fp32        = $(OUT)/onnx/encoder.onnx
benched    = $(foreach form,$(BENCH_FORMS),$(form)=$(or $(form.$(form)),$(OUT)/onnx/encoder.$(form).onnx))

flags.bench = $(BENCH_FORMS) $(BENCH_SECONDS) s $(BENCH_THREADS) threads $(BENCH_ROUNDS) rounds

$(BENCH)/nemo.onnx: $(CHECKPOINT) $(call worker,bench/export_nemo)
	$(call say,EXPORT)
	$(call run,bench/export_nemo) --checkpoint $(OUT)/checkpoint --output $@

$(BENCH)/common.onnx: $(BENCH)/nemo.onnx $(call worker,bench/quantize_common)
	$(call say,QUANTIZE)
	$(call run,bench/quantize_common) --input $< --output $@

$(BENCH)/bench.json: $(foreach entry,$(benched),$(lastword $(subst =, ,$(entry)))) $(OUT)/.flags/bench \
    $(call worker,bench/encoders)
	$(call say,BENCH)
	$(call run,bench/encoders) --encoders $(benched) --seconds $(BENCH_SECONDS) --threads $(BENCH_THREADS) \
	    --rounds $(BENCH_ROUNDS) --output $@

# NAME=ENCODER,STEP, as bench_swipe takes them.
timed   = $1=$2$(comma)$3
words  := $(call timed,fp32-onnx,$(OUT)/onnx/encoder.onnx,$(OUT)/onnx/rnnt_step.onnx) \
          $(call timed,int8-onnx,$(OUT)/onnx/encoder.int8.onnx,$(OUT)/onnx/rnnt_step.onnx) \
          $(foreach form,$(PTE_FORMS),$(call timed,$(form)-pte,$(PTE)/encoder.$(form).pte,$(PTE)/rnnt_step.pte))

$(BENCH)/words.json: $(sort $(filter $(OUT)/%,$(subst =, ,$(subst $(comma), ,$(words))))) $(META) $(TEST) \
    $(LEXICON) $(OUT)/.flags/swipe $(call worker,bench/swipe)
	$(call say,BENCH)
	$(call run,bench/swipe) --pairs $(words) --meta $(OUT)/meta/model_meta.json $(search_flags) --output $@

## Measure speed
.PHONY: bench
bench: $(BENCH)/$(if $(filter swipe,$(TASK)),words,bench).json
bench: ## the encoder's forms, NeMo's export and common int8; or words of a swipe model
