# Names that a user gives, before anything is expanded: each character works or is refused, and none is run. A name goes
# into rules and shells, where these have another meaning.

comma  := ,
space  := $(subst ,, )
unsafe := $$ ' " \ ` ; & | < > ( ) [ ] { } * ? ! \# % : =
# NAME=FILE,FILE pairs hold these.
unsafe.OUT         := $(unsafe) ,
unsafe.PACKAGE_DIR := $(unsafe) ,
# A manifest to train on has a weight and a layout after it.
unsafe.TRAIN_MANIFEST := $(filter-out :,$(unsafe))
# A checkpoint is read only, by its name in single quotations, as NeMo gives names with = in them.
unsafe.MODEL := \ $$ '
unsafe.MODELS := $(unsafe.MODEL)

# One name each, but for the last row.
single := CONFIG MODEL NAME OUT PACKAGE_DIR VALIDATION LEXICON CALIB_MANIFEST VOCABULARY TEST LAYOUT TRACES SPEECH \
            TEACHER INIT TRAINED DIR HOTWORDS TOKEN_LM TEXT MODELS_FILE LANGUAGE BIGRAM_TEXT
typed  := $(single) BUNDLE_ASSETS DEMO_PACKAGES TRAIN_MANIFEST MODELS

# What a user set: our own defaults may refer to variables.
set_by_user = $(foreach v,$1,$(if $(filter command environment,$(firstword $(origin $v))),$v))

# $(call PROBLEM_in,VARIABLE) is empty where its name does not have that problem.
unsafe_in  = $(firstword $(foreach c,$(or $(unsafe.$1),$(unsafe)),$(if $(findstring $c,$(value $1)),$c)))
options_in = $(if $(filter-out MODEL,$1),$(filter -%,$(value $1)))
spaces_in  = $(filter-out 0 1,$(words $(value $1)))$(if $(value $1),$(subst $(strip $(value $1)),,$(value $1)))
problem.unsafe  = with $(unsafe_in) in it a name means something else to Make or the shell; rename it or link to it
problem.options = a name that begins with a hyphen would be taken for an option; write ./ before it
problem.spaces  = give one path without spaces, which Make cannot handle
missing_in = $(foreach name,$(value $1),$(if $(wildcard $(name)),,$(name)))
problem.missing = $(firstword $(missing_in)) does not exist (a name has no spaces here); correct it
refused = $(foreach v,$(call set_by_user,$2),$(if $(call $1_in,$v),$(error $v is '$(strip \
            $(value $v))': $(call problem.$1,$v))))
$(call refused,unsafe,$(typed))
$(call refused,options,$(typed))
$(call refused,spaces,$(single))
$(call refused,missing,BUNDLE_ASSETS)
ifneq ($(call set_by_user,BUNDLE_ASSETS),)
  # No line break may come into a recipe.
  override BUNDLE_ASSETS := $(strip $(value BUNDLE_ASSETS))
endif

# $(call safe,NAME): with a hyphen for every character that a folder of ours may not have.
safe     = $(call replaced,$1,$(unsafe.OUT))
replaced = $(if $2,$(call replaced,$(subst $(firstword $2),-,$1),$(wordlist 2,$(words $2),$2)),$1)

# Recordings are never a target, so any name works: $(call quoted,NAMES) are words for the shell, in which "\ " is a
# space. As the value is simple, Make expands nothing in it, nor where it hands it to a recipe's environment.
override WAV := $(value WAV)
hidden_space := <space>
quoted = $(foreach word,$(subst \$(space),$(hidden_space),$1),'$(subst $(hidden_space), ,$(subst ','\'',$(word)))')
