# What decoders read beside the graphs (runtime_meta.json, and the lexicon as a trie over the model's labels), and
# folders that other runtimes load as they are, made of checked graphs only. A folder is replaced as a whole; its
# SHA256SUMS is written last and stands for it.

# The labels as training had them, one a line; where set, they are compared with the checkpoint's.
VOCABULARY   ?=
# Speech is decoded without a lexicon unless one is given.
LEXICON      ?=

RUNTIME_META := $(OUT)/meta/runtime_meta.json
TRIE         := $(if $(LEXICON),$(addprefix $(OUT)/lexicon/,trie.bin words.txt))

# A text of yours, from which decoders learn which words follow which.
BIGRAM_TEXT  ?=
BIGRAMS      := $(if $(BIGRAM_TEXT),$(OUT)/lexicon/bigrams.bin)

runtime_meta_options = $(search_options) $(addprefix --vocabulary ,$(VOCABULARY))
flags.runtime-meta = $(runtime_meta_options)
flags.trie         = LEXICON=$(LEXICON)

$(RUNTIME_META): $(META) $(VOCABULARY) $(OUT)/.flags/runtime-meta $(call worker,package/write_runtime_meta)
	$(call say,META)
	$(call run,package/write_runtime_meta) --meta $(OUT)/meta/model_meta.json --tokens $(OUT)/meta/tokens.txt \
	    $(runtime_meta_options) --output $@

ifneq ($(LEXICON),)
$(TRIE) &: $(LEXICON) $(CHECKPOINT) $(OUT)/.flags/trie $(call worker,swipe/write_trie)
	$(call say,LEXICON,$(OUT)/lexicon)
	$(call run,swipe/write_trie) --lexicon $(LEXICON) --checkpoint $(OUT)/checkpoint --output $(OUT)/lexicon/trie.bin

$(OUT)/lexicon/bigrams.bin: $(BIGRAM_TEXT) $(TRIE) $(call worker,swipe/write_bigrams)
	$(call say,BIGRAMS)
	$(call run,swipe/write_bigrams) --words $(OUT)/lexicon/words.txt \
	    --text $(or $(BIGRAM_TEXT),$(error Set BIGRAM_TEXT to a text to count words in)) --output $@
endif

# This is reached only if a file is missing and nothing makes it; the worker then names it.
$(VOCABULARY) $(BIGRAM_TEXT) $(filter-out $(LEXICONS),$(LEXICON)):

## What decoders read beside the graphs
.PHONY: runtime-meta trie bigrams
runtime-meta: $(RUNTIME_META) ## tokens, blank, dims, features and hashes of graphs (VOCABULARY= to compare)
bigrams: $(OUT)/lexicon/bigrams.bin ## which words of LEXICON follow which in a text of yours (BIGRAM_TEXT=)
trie: $(TRIE)                 ## LEXICON as a compact trie, with its words

PACKAGE_DIR ?= $(OUT)/package

ifneq ($(words $(PACKAGE_DIR)),1)
  $(error PACKAGE_DIR is '$(PACKAGE_DIR)': give one path without spaces, which Make cannot handle)
endif

# $(call packaged,GRAPHS): these in fp32, which is always built, and in int8 where that is built and checked, or asked
# for in the same run.
packaged = $(1:%=$(OUT)/onnx/%.onnx) $(sort $(int8_built) $(int8_asked))
int8_built = $(patsubst $(OUT)/checks/%.check.json,$(OUT)/onnx/%,$(wildcard \
               $(1:%=$(OUT)/checks/%.int8.onnx.check.json)))
int8_asked = $(addprefix $(OUT)/onnx/,$(if $(filter variants everything,$(MAKECMDGOALS)),$(1:%=%.int8.onnx),$(filter \
               $(1:%=%.int8.onnx),$(MAKECMDGOALS))))
# A model built to stream is packaged for sherpa-onnx's online recognizer.
packaged.sherpa-onnx := $(call packaged,encoder$(if $(STREAMING),_streaming) predictor joint)
packaged.onnx-asr    := $(call packaged,encoder predictor joint)
packaged.ort-genai   := $(packaged.onnx-asr)

flags.package-sherpa-onnx = $(notdir $(packaged.sherpa-onnx))
flags.package-onnx-asr    = $(notdir $(packaged.onnx-asr))
flags.package-ort-genai   = $(notdir $(packaged.ort-genai))

# $(call package,RUNTIME): the options that all of these packagers take.
package = --graphs $(packaged.$1) --meta $(OUT)/meta/model_meta.json --tokens $(OUT)/meta/tokens.txt

$(PACKAGE_DIR)/sherpa-onnx/SHA256SUMS: $(packaged.sherpa-onnx) \
    $(packaged.sherpa-onnx:$(OUT)/onnx/%=$(OUT)/checks/%.check.json) $(META) $(OUT)/.flags/package-sherpa-onnx \
    $(call worker,package/for_sherpa_onnx)
	$(call say,PACKAGE)
	$(call run,package/for_sherpa_onnx) $(call package,sherpa-onnx) $(if $(STREAMING),--online) --output $@

$(PACKAGE_DIR)/onnx-asr/SHA256SUMS: $(packaged.onnx-asr) \
    $(packaged.onnx-asr:$(OUT)/onnx/%=$(OUT)/checks/%.check.json) $(META) $(OUT)/.flags/package-onnx-asr \
    $(call worker,package/for_onnx_asr)
	$(call say,PACKAGE)
	$(call run,package/for_onnx_asr) $(call package,onnx-asr) --output $@

$(PACKAGE_DIR)/ort-genai/SHA256SUMS: $(packaged.ort-genai) \
    $(packaged.ort-genai:$(OUT)/onnx/%=$(OUT)/checks/%.check.json) $(META) $(OUT)/.flags/package-ort-genai \
    $(call worker,package/for_ort_genai)
	$(call say,PACKAGE)
	$(call run,package/for_ort_genai) $(call package,ort-genai) --output $@

## Packages for other runtimes
.PHONY: package-sherpa-onnx package-onnx-asr package-ort-genai
package-sherpa-onnx: $(PACKAGE_DIR)/sherpa-onnx/SHA256SUMS ## a folder for sherpa-onnx (STREAMING=1: online)
package-onnx-asr: $(PACKAGE_DIR)/onnx-asr/SHA256SUMS       ## a folder for onnx-asr, parakeet-rs and parakeet.js
package-ort-genai: $(PACKAGE_DIR)/ort-genai/SHA256SUMS     ## a folder for ONNX Runtime GenAI, of TDT models
