# What a product ships: one folder for each target, with its graphs, metadata and, where bundled, a lexicon, made of
# graphs that passed their checks only; and the same as one file. A folder is replaced as a whole; its SHA256SUMS is
# written last and stands for it.

# web, android, desktop, server, or all of them.
TARGET        ?= all
# Files and folders of the app's own, for bundled packages.
BUNDLE_ASSETS ?=
# SPDX ids or expressions; where unset, the package states no licence.
MODEL_LICENCE   ?= NOASSERTION
LEXICON_LICENCE ?= $(if $(filter $(LEXICONS),$(LEXICON)),CC-BY-SA-4.0,NOASSERTION)
# Whom that licence asks to name.
LEXICON_CREDIT  ?= $(if $(filter $(LEXICONS),$(LEXICON)),words and their order are from wordfreq by Robyn \
                     Speer$(comma) which credits SUBTLEX$(comma) OpenSubtitles$(comma) Wikipedia$(comma) the Leeds \
                     Internet Corpus$(comma) ParaCrawl and Google Books Ngrams)
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

# The app's files are not prerequisites, as their names may have characters that are Make's: a sum stands for them.
assets_sum = $(if $(BUNDLE_ASSETS),$(shell find -L $(BUNDLE_ASSETS) -type f -exec cksum {} + 2> /dev/null | \
               LC_ALL=C sort | cksum))

graph_files  = $(foreach graph,$(graphs.$1),$(lastword $(subst =, ,$(graph))))
graph_checks = $(patsubst %,$(OUT)/checks/%.check.json,$(notdir $(graph_files)))

# A swipe model reads on any layout, so all of them go along.
keyboards       = $(if $(filter swipe,$(TASK)),$(sort $(wildcard configs/layouts/*.json)))
options.bundled = $(if $(TRIE),--trie $(firstword $(TRIE)) --lexicon-licence '$(LEXICON_LICENCE)' \
                    --lexicon-credit '$(strip $(LEXICON_CREDIT))') $(if $(BUNDLE_ASSETS),--assets $(BUNDLE_ASSETS)) \
                    $(addprefix --bigrams ,$(BIGRAMS))
inputs.bundled := $(TRIE) $(BIGRAMS)
# The command that the manifest records: the settings that matter, without local paths.
command.dynamic := make package-dynamic
command.bundled := make package-bundled $(if $(LEXICON),LEXICON=$(notdir $(LEXICON))) \
                     $(if $(BIGRAM_TEXT),BIGRAM_TEXT=$(notdir $(BIGRAM_TEXT))) \
                     $(if $(BUNDLE_ASSETS),BUNDLE_ASSETS="$(notdir $(BUNDLE_ASSETS))")
model_named     := $(if $(CONFIG),CONFIG=$(CONFIG),MODEL=$(notdir $(MODEL)))

flags.package         = $(MODEL_LICENCE) $(NAME)
flags.package-bundled = $(options.bundled) $(TRIE) $(assets_sum)
flags.package-web     = $(graphs.web)
flags.package-android = $(graphs.android)
flags.package-desktop = $(graphs.desktop)
flags.package-server  = $(graphs.server)
flags.package-dynamic =
flags.max-web-bytes   = MAX_WEB_BYTES=$(MAX_WEB_BYTES)

# In a rule whose stem is KIND/TARGET, as bundled/web: its two parts.
kind   = $(patsubst %/,%,$(dir $*))
target = $(notdir $*)
bundles = $(foreach kind,dynamic bundled,$(TARGETS:%=$(kind)/%))
$(bundles:%=$(PACKAGE_DIR)/%/SHA256SUMS): $(PACKAGE_DIR)/%/SHA256SUMS: $$(call graph_files,$$(target)) \
    $$(call graph_checks,$$(target)) $(RUNTIME_META) $(META) $(keyboards) $$(inputs.$$(kind)) $(OUT)/.flags/package \
    $(OUT)/.flags/package-$$(kind) $(OUT)/.flags/package-$$(target) $(call worker,package/bundle)
	$(call say,PACKAGE)
	$(call run,package/bundle) --name $(NAME) --kind $(kind) --target $(target) --runtime-meta $(RUNTIME_META) \
	    --meta $(OUT)/meta/model_meta.json --checks $(OUT)/checks --graphs $(graphs.$(target)) $(options.$(kind)) \
	    $(if $(keyboards),--layouts $(keyboards)) \
	    --licence '$(MODEL_LICENCE)' --command '$(strip $(command.$(kind)) $(model_named)) TARGET=$(target)' --output $@

# An archive's stem is KIND-TARGET.
archive = $(PACKAGE_DIR)/$(NAME)-$1-$2$(if $(filter web,$2),.zip,.tar.zst)
sums    = $(PACKAGE_DIR)/$(subst -,/,$*)/SHA256SUMS
$(PACKAGE_DIR)/$(NAME)-dynamic-web.zip $(PACKAGE_DIR)/$(NAME)-bundled-web.zip: $(PACKAGE_DIR)/$(NAME)-%.zip: $$(sums) \
    $(OUT)/.flags/max-web-bytes $(call worker,package/archive)
	$(call say,ARCHIVE)
	$(call run,package/archive) --package $< $(addprefix --max-bytes ,$(MAX_WEB_BYTES)) --output $@

others := $(filter-out %/web,$(bundles))
$(foreach bundle,$(others),$(PACKAGE_DIR)/$(NAME)-$(subst /,-,$(bundle)).tar.zst): $(PACKAGE_DIR)/$(NAME)-%.tar.zst: \
    $$(sums) $(call worker,package/archive)
	$(call say,ARCHIVE)
	$(call run,package/archive) --package $< --output $@

## Packages for products
.PHONY: package-dynamic package-bundled verify-package
package-dynamic: $(foreach target,$(targets),$(call archive,dynamic,$(target)))
package-dynamic: ## graphs and metadata; the app brings words (TARGET=web|android|desktop|server|all)
package-bundled: $(foreach target,$(targets),$(call archive,bundled,$(target)))
package-bundled: ## with LEXICON as words and trie, and BUNDLE_ASSETS
verify-package: $(ENV) ## whether the package in DIR is as it was made
	$(call run,package/verify) $(or $(DIR),$(error Set DIR to the folder of a package))
