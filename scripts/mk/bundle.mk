# What a product ships: one folder for each target, with its graphs, metadata and, where bundled, a lexicon, made of
# graphs that passed their checks only; and the same as one file. A folder is replaced as a whole; its SHA256SUMS is
# written last and stands for it.

# web, android, desktop, server, or all of them.
TARGET        ?= all
# Files and folders of the app's own, for bundled packages.
BUNDLE_ASSETS ?=
# SPDX ids or expressions; where unset, nothing is said of a licence.
MODEL_LICENCE   ?= NOASSERTION
LEXICON_LICENCE ?= $(if $(filter $(LEXICONS),$(LEXICON)),CC-BY-SA-4.0,NOASSERTION)
# Whom that licence asks to name.
LEXICON_CREDIT  ?= $(if $(filter $(LEXICONS),$(LEXICON)),words and their order are from wordfreq by Robyn Speer$(comma) \
                     which credits SUBTLEX$(comma) OpenSubtitles$(comma) Wikipedia$(comma) the Leeds Internet Corpus$(comma) \
                     ParaCrawl and Google Books Ngrams)
# Bytes that a web package may have as a .zip.
MAX_WEB_BYTES ?=

TARGETS := web android desktop server
ifneq ($(filter-out all $(TARGETS),$(or $(TARGET),none)),)
  $(error TARGET is '$(TARGET)': set it to one or more of $(TARGETS), or all)
endif
targets := $(if $(filter all,$(TARGET)),$(TARGETS),$(TARGET))

# $(call bundled_onnx,graphs), $(call bundled_pte,files): as NAME-IN-PACKAGE=FILE, like all that follow.
bundled_onnx = $(foreach graph,$1,$(graph).onnx=$(OUT)/onnx/$(graph).onnx)
bundled_pte  = $(foreach file,$1,$(file).pte=$(PTE)/$(file).pte)
bundled_step = $(call bundled_onnx,rnnt_step $(filter frontend,$(TRACED)))

graphs.web     = encoder.int8.onnx=$(ORT)/encoder.web.int8.onnx $(bundled_step)
# int8 goes along where there is a validation set to measure what it loses.
graphs.desktop = $(call bundled_onnx,encoder $(filter encoder_streaming,$(GRAPHS))) $(bundled_step) \
                   $(if $(VALIDATION),encoder.int8.onnx=$(OUT)/onnx/encoder.int8.onnx)
graphs.server  = $(graphs.desktop)
graphs.android = $(call bundled_pte,encoder.xnnpack encoder.int8 $(PTE_WHOLE) \
                   $(addsuffix .xnnpack,$(filter encoder_streaming,$(GRAPHS)))) \
                   encoder.int8.ort=$(ORT)/encoder.android.int8.ort $(bundled_step)

# $(call files_below,paths): the files among paths and in their folders.
files_below = $(foreach path,$1,$(or $(call files_below,$(wildcard $(path)/*)),$(path)))

graph_files  = $(foreach graph,$(graphs.$1),$(lastword $(subst =, ,$(graph))))
graph_checks = $(patsubst %,$(OUT)/checks/%.check.json,$(notdir $(graph_files)))

options.dynamic :=
options.bundled := $(if $(TRIE),--trie $(firstword $(TRIE)) --lexicon-licence '$(LEXICON_LICENCE)' \
                     --lexicon-credit '$(strip $(LEXICON_CREDIT))') \
                     $(if $(BUNDLE_ASSETS),--assets $(BUNDLE_ASSETS))
inputs.dynamic  :=
inputs.bundled  := $(TRIE) $(call files_below,$(BUNDLE_ASSETS))
# What is told of how the package was made: settings that it depends on, and no place of this machine.
command.dynamic := make package-dynamic
command.bundled := make package-bundled $(if $(LEXICON),LEXICON=$(notdir $(LEXICON))) \
                     $(if $(BUNDLE_ASSETS),BUNDLE_ASSETS="$(notdir $(BUNDLE_ASSETS))")
model_named     := $(if $(CONFIG),CONFIG=$(CONFIG),MODEL=$(notdir $(MODEL)))

archive = $(PACKAGE_DIR)/$(NAME)-$1-$2$(if $(filter web,$2),.zip,.tar.zst)

package_worker := $(call worker,package/bundle)
archive_worker := $(call worker,package/archive)

# $(call bundle_rule,kind,target)
define bundle_rule
$$(eval $$(call flags,package-$1-$2,$$(strip $$(graphs.$2) $(subst ',,$(options.$1)) $(inputs.$1) $(MODEL_LICENCE) $(NAME))))
$(PACKAGE_DIR)/$1/$2/SHA256SUMS: $(call graph_files,$2) $(call graph_checks,$2) $(RUNTIME_META) $(META) $(inputs.$1) \
    $(OUT)/.flags/package-$1-$2 $(package_worker)
	$$(call say,PACKAGE)
	$$(call run,package/bundle) --name $(NAME) --kind $1 --target $2 --runtime-meta $(RUNTIME_META) --graphs $(graphs.$2) \
	    $(options.$1) --licence '$(MODEL_LICENCE)' --command '$(strip $(command.$1) $(model_named)) TARGET=$2' \
	    --output $$@

$(call archive,$1,$2): $(PACKAGE_DIR)/$1/$2/SHA256SUMS $(if $(filter web,$2),$(OUT)/.flags/max-web-bytes) $(archive_worker)
	$$(call say,ARCHIVE)
	$$(call run,package/archive) --package $$< $(if $(filter web,$2),$(addprefix --max-bytes ,$(MAX_WEB_BYTES))) \
	    --output $$@
endef
$(eval $(call flags,max-web-bytes,MAX_WEB_BYTES=$(MAX_WEB_BYTES)))
$(foreach kind,dynamic bundled,$(foreach target,$(TARGETS),$(eval $(call bundle_rule,$(kind),$(target)))))

# Reached only when a file is missing and nothing makes it: the worker says so in its own words.
$(call files_below,$(BUNDLE_ASSETS)):

## Packages for products
.PHONY: package-dynamic package-bundled verify-package
package-dynamic: $(foreach target,$(targets),$(call archive,dynamic,$(target))) ## graphs and metadata; the app brings words (TARGET=web|android|desktop|server|all)
package-bundled: $(foreach target,$(targets),$(call archive,bundled,$(target))) ## with LEXICON as words and trie, and BUNDLE_ASSETS
verify-package: $(ENV) ## whether the package in DIR is as it was made
	$(call run,package/verify) $(or $(DIR),$(error Set DIR to the folder of a package))
