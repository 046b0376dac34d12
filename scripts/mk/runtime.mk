# What decoders read beside the graphs: runtime_meta.json, and the lexicon as a trie over the model's labels.

# The labels as training had them, one a line; where set, they are compared with the checkpoint's.
VOCABULARY   ?=
# Speech is decoded without a lexicon unless one is given.
LEXICON      ?=

RUNTIME_META := $(OUT)/meta/runtime_meta.json
TRIE         := $(if $(LEXICON),$(addprefix $(OUT)/lexicon/,trie.bin words.txt))

runtime_meta_options = $(search_options) $(addprefix --vocabulary ,$(VOCABULARY))
flags.runtime-meta = $(runtime_meta_options)
flags.trie         = LEXICON=$(LEXICON)

$(RUNTIME_META): $(META) $(ONNX) $(VOCABULARY) $(OUT)/.flags/runtime-meta $(call worker,package/write_runtime_meta)
	$(call say,META)
	$(call run,package/write_runtime_meta) --meta $(OUT)/meta/model_meta.json --tokens $(OUT)/meta/tokens.txt \
	    --graphs $(ONNX) $(runtime_meta_options) --output $@

ifneq ($(LEXICON),)
$(TRIE) &: $(LEXICON) $(CHECKPOINT) $(OUT)/.flags/trie $(call worker,swipe/write_trie)
	$(call say,LEXICON,$(OUT)/lexicon)
	$(call run,swipe/write_trie) --lexicon $(LEXICON) --checkpoint $(OUT)/checkpoint --output $(OUT)/lexicon/trie.bin
endif

# Reached only when a file is missing and nothing makes it: the worker says so in its own words.
$(VOCABULARY) $(filter-out $(LEXICONS),$(LEXICON)):

## What decoders read beside the graphs
.PHONY: runtime-meta trie
runtime-meta: $(RUNTIME_META) ## tokens, blank, dims, features and hashes of graphs (VOCABULARY= to compare)
trie: $(TRIE)                 ## LEXICON as a compact trie, with its words
