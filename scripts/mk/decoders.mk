# What the decoders in other languages are tested against.

GOLDEN := decoders/golden/cases.json.gz

flags.golden = $(TEST) $(LEXICON)

# The words that the cases are decoded with are written beside them, in words.txt.gz.
$(GOLDEN): $(OUT)/onnx/encoder.onnx $(OUT)/onnx/rnnt_step.onnx $(RUNTIME_META) $(TEST) $(LEXICON) \
    $(OUT)/.flags/golden $(call worker,swipe/write_golden)
	$(call say,GOLDEN)
	$(call run,swipe/write_golden) --encoder $(OUT)/onnx/encoder.onnx --step $(OUT)/onnx/rnnt_step.onnx \
	    --meta $(RUNTIME_META) --manifest $(TEST) --lexicon $(LEXICON) --output $@

## Decoders in other languages
.PHONY: golden
golden: $(GOLDEN) ## cases that every decoder must reproduce, from a swipe model (checked in)
