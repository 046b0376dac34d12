# What the decoders in other languages are tested against.

GOLDEN := decoders/golden/cases.json.gz

$(eval $(call flags,golden,TEST=$(TEST) LEXICON=$(LEXICON) BEAM=$(BEAM) PRIOR_WEIGHT=$(PRIOR_WEIGHT)))

# words.txt.gz is written beside it, first the cases, then the words that they were decoded with.
$(GOLDEN): $(CHECKPOINT) $(TEST) $(LEXICON) $(OUT)/.flags/golden $(call worker,write_golden_cases)
	$(call say,GOLDEN)
	$(call run,write_golden_cases) --checkpoint $(OUT)/checkpoint --manifest $(TEST) --lexicon $(LEXICON) \
	    --beam $(BEAM) --prior-weight $(PRIOR_WEIGHT) --output $@

## Decoders in other languages
.PHONY: golden
golden: $(GOLDEN) ## cases that every decoder must reproduce, from a swipe model (checked in)
