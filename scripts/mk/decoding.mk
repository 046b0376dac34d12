# How speech is searched: greedily, or with a beam that phrases, an n-gram model or a script steer.

# Prefixes kept of each recording; where unset 1, the greedy search, or 8 where something below is set.
BEAM            ?=
# A file of phrases to prefer, one a line, each with ` :WEIGHT` or without; HOTWORDS_WEIGHT is in nats a letter.
HOTWORDS        ?=
HOTWORDS_WEIGHT ?=
# The language that a model of several is held to, by its code: its scripts, and n-grams of its words as TOKEN_LM.
LANGUAGE        ?=
# What conditions the encoder of a model that takes a prompt, as de-DE; where unset the model's default, mostly auto.
PROMPT          ?=
# An n-gram model of tokens in ARPA format, and the weight of its log probabilities.
TOKEN_LM        ?= $(if $(LANGUAGE),$(OUT)/decoding/language.$(LANGUAGE).arpa)
TOKEN_LM_WEIGHT ?=
# Writing systems that a model of several is held to: Latin,Cyrillic,Greek,CJK.
SCRIPTS         ?=

prompt   := $(if $(PROMPT),--prompt '$(PROMPT)')
steering := $(if $(BEAM),--beam '$(BEAM)') $(if $(HOTWORDS),--hotwords $(HOTWORDS)) \
              $(if $(HOTWORDS_WEIGHT),--hotwords-weight '$(HOTWORDS_WEIGHT)') \
              $(if $(TOKEN_LM),--token-lm $(TOKEN_LM)) \
              $(if $(TOKEN_LM_WEIGHT),--token-lm-weight '$(TOKEN_LM_WEIGHT)') \
              $(if $(SCRIPTS),--scripts '$(SCRIPTS)') $(if $(LANGUAGE),--language '$(LANGUAGE)') $(prompt)
steering_files := $(HOTWORDS) $(TOKEN_LM)

# Sentences as the model writes them, one a line, and the tokens of the longest n-grams.
TEXT           ?=
TOKEN_LM_ORDER ?= 4
MADE_LM        := $(OUT)/decoding/token_lm.arpa
flags.token-lm = ORDER=$(TOKEN_LM_ORDER) TEXT=$(TEXT)

$(MADE_LM): $(META) $(TEXT) $(OUT)/.flags/token-lm $(call worker,decoding/token_lm)
	$(call say,TOKENLM)
	$(call run,decoding/token_lm) --text $(or $(TEXT),$(error TEXT is not set: give a file of sentences)) \
	    --meta $(OUT)/meta --order '$(TOKEN_LM_ORDER)' --output $@

$(OUT)/decoding/language.%.txt: $(call worker,decoding/language_text)
	$(call say,LANGUAGE)
	$(call run,decoding/language_text) --language $* --output $@
$(OUT)/decoding/language.%.arpa: $(OUT)/decoding/language.%.txt $(META) $(OUT)/.flags/token-lm \
    $(call worker,decoding/token_lm)
	$(call say,TOKENLM)
	$(call run,decoding/token_lm) --text $< --meta $(OUT)/meta --order '$(TOKEN_LM_ORDER)' --output $@

# This is reached only if a file is missing and nothing makes it; the worker then names it.
$(filter-out $(MADE_LM) $(OUT)/decoding/language.%,$(steering_files)) $(TEXT):

.PHONY: token-lm
token-lm: $(MADE_LM) ## an n-gram model of tokens from TEXT=FILE, for TOKEN_LM=
