# What all fragments use: quiet recipes, flag stamps, and the files that a worker depends on.

Q := $(if $(filter 1,$(V)),,@)
comma := ,
export V

# One line per artefact: $(call say,VERB).
say = @printf '  %-9s %s\n' $1 $@

# $(call run,worker): start a worker through the launcher.
run = $(Q)$(LAUNCH) $(PYTHON) py/$1.py

# $(call worker,name): the worker's script and the shared modules that it imports, directly or not, read
# from the imports themselves. Modules are imported as `from transducer.NAME import ...` for this.
imports = $(wildcard $(patsubst transducer.%,py/transducer/%.py,$(filter transducer.%,$(file <$1))))
closure = $(if $(filter-out $2,$1),$(call closure,$(sort $1 $(foreach f,$(filter-out $2,$1),$(call imports,$f))),$1),$1)
worker  = $(call closure,py/$1.py) $(ENV)

# $(eval $(call flags,family,values)): OUT/.flags/family holds the family's flags and changes only when they do,
# so that what depends on it is rebuilt exactly then. Compared while Make reads, so nothing runs otherwise.
# Each within the other: equal, and $(filter) would compare word by word.
same = $(and $(findstring <$1>,<$2>),$(findstring <$2>,<$1>))
define flags
$(OUT)/.flags/$1: $(if $(call same,$2,$(file <$(OUT)/.flags/$1)),,FORCE)
	@scripts/stamp.sh $$@ '$2'
endef
.PHONY: FORCE
FORCE:
