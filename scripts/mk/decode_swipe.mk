# How often a swipe model reads the right word: top-1 of its graphs on TEST beside the checkpoint's own.

TEST         ?= models/swipe-test/manifest.jsonl.gz
# A word a line, the most frequent first.
LEXICON      ?= $(OUT)/lexicons/lexicon_full.txt
BEAM         ?= 16
PRIOR_WEIGHT ?= 0.5
# Top-1 on TEST, in per cent, below which the checkpoint's validation fails.
MIN_TOP1     ?= 0
# Points of top-1 that graphs may lose against PyTorch; MAX_TOP1_DELTA.VARIANT is a variant's own bound.
MAX_TOP1_DELTA      ?= 0.5
MAX_TOP1_DELTA.int4 ?= 1.0
# Variants to use, by file name; `evaluate` takes several encoders, one check each.
ENCODER   ?= encoder.onnx
RNNT_STEP ?= rnnt_step.onnx

# The graphs that decode together.
DECODED := encoder rnnt_step

search_flags = --manifest $(TEST) --lexicon $(LEXICON) --beam $(BEAM) --prior-weight $(PRIOR_WEIGHT)

$(eval $(call flags,swipe,$(search_flags) MIN_TOP1=$(MIN_TOP1)))
$(eval $(call flags,top1,MAX_TOP1_DELTA=$(MAX_TOP1_DELTA) int4=$(MAX_TOP1_DELTA.int4)))

CHECKPOINT_TOP1 := $(OUT)/checks/checkpoint.check.json

$(CHECKPOINT_TOP1): $(CHECKPOINT) $(TEST) $(LEXICON) $(OUT)/.flags/swipe $(call worker,evaluate_swipe_checkpoint)
	$(call say,EVALUATE)
	$(call run,evaluate_swipe_checkpoint) --checkpoint $(OUT)/checkpoint $(search_flags) --min-top1 $(MIN_TOP1) \
	    --output $@

# $(call accuracy_check,graphs): a check is named by the graphs that are not fp32, and its bound is that of the first.
space          := $(subst ,, )
variants        = $(patsubst %.onnx,%,$(filter-out $(TRACED:=.onnx),$1))
accuracy_check  = $(OUT)/checks/top1.$(or $(subst $(space),-,$(strip $(variants))),fp32).check.json
accuracy_bound  = $(or $(MAX_TOP1_DELTA$(firstword $(suffix $(variants)))),$(MAX_TOP1_DELTA))
decode_graphs   = $(addprefix $(OUT)/onnx/,$1)

# $(call accuracy_rule,graphs): the rule of a check, once.
define accuracy_rule
$(if $(filter $(accuracy_check),$(ACCURACY_RULES)),,$(call accuracy_recipe,$(accuracy_check),$(call decode_graphs,$1),$1,$(accuracy_bound)))
ACCURACY_RULES += $(accuracy_check)
endef
# $(call accuracy_recipe,check,files,graphs,bound)
define accuracy_recipe
$1: $2 $(META) $(CHECKPOINT_TOP1) $(OUT)/.flags/top1 $(call worker,evaluate_swipe)
	$$(call say,EVALUATE)
	$$(call run,evaluate_swipe) --encoder $(OUT)/onnx/$(word 1,$3) --step $(OUT)/onnx/$(word 2,$3) \
	    --meta $(OUT)/meta/model_meta.json $(search_flags) --reference $(CHECKPOINT_TOP1) --max-top1-delta $4 \
	    --output $$@
endef
evaluated = $(call accuracy_check,$1 $(RNNT_STEP))
$(foreach encoder,$(ENCODER),$(eval $(call accuracy_rule,$(encoder) $(RNNT_STEP))))

# Reached only when a file is missing and nothing makes it: the worker says so in its own words.
$(filter-out $(LEXICONS),$(LEXICON)) $(filter-out $(HELD_OUT) $(VALIDATION),$(TEST)) $(VALIDATION):

$(OUT)/checks/templates.check.json: $(LAYOUT) $(TEST) $(LEXICON) $(OUT)/.flags/swipe $(call worker,evaluate_templates)
	$(call say,EVALUATE)
	$(call run,evaluate_templates) --manifest $(TEST) --layout $(LAYOUT) --lexicon $(LEXICON) --output $@

## Use and measure
.PHONY: evaluate validate swipe-baseline
evaluate: $(foreach encoder,$(ENCODER),$(call evaluated,$(encoder))) ## top-1, 3 and 5 beside PyTorch's own (ENCODER=encoder.int8.onnx)
validate: $(CHECKPOINT_TOP1) ## WER, top-1, 3 and 5 of the checkpoint on TEST
swipe-baseline: $(OUT)/checks/templates.check.json ## the same of template matching
