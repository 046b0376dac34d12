# Many models in one tree: MODELS="a.nemo b/ c.nemo", or MODELS_FILE with one a line, to the same GOALS. Each is a make
# of its own, so one that fails stops no other, and what is built stays built.

MODELS      ?=
MODELS_FILE ?=
GOALS       ?= all
# OUT, where it is set, holds a folder for each model.
fleet_out   := $(if $(filter command environment,$(firstword $(origin OUT))),$(OUT),out)

fleet       := $(strip $(MODELS) $(if $(MODELS_FILE),$(shell sed 's/\#.*//' '$(subst ',,$(MODELS_FILE))')))
fleet_names := $(foreach model,$(fleet),$(call name_of,$(model)))
twice       := $(strip $(foreach name,$(sort $(fleet_names)),$(if $(word 2,$(filter $(name),$(fleet_names))),$(name))))
ifneq ($(filter fleet,$(MAKECMDGOALS)),)
  ifeq ($(fleet),)
    $(error MODELS is empty: give checkpoints, or MODELS_FILE with one a line)
  endif
  ifneq ($(twice),)
    $(error MODELS has $(firstword $(twice)) twice: give each once, and link to one of two files of the same name)
  endif
endif

fleet_job_out = $(fleet_out)/$(word $*,$(fleet_names))
fleet_jobs  := $(patsubst %,fleet-%,$(if $(fleet),$(shell seq $(words $(fleet)))))

.PHONY: fleet $(fleet_jobs)
$(fleet_jobs): fleet-%: | $(ENV)
	+$(Q)scripts/fleet.sh build $(fleet_job_out) $(MAKE) --no-print-directory MODELS= MODELS_FILE= \
	    MODEL='$(word $*,$(fleet))' OUT=$(fleet_job_out) $(GOALS)
fleet: $(fleet_jobs) ## GOALS= for each of MODELS="a.nemo b/" or MODELS_FILE=, and a table of what failed
	$(Q)scripts/fleet.sh table $(fleet_names:%=$(fleet_out)/%)
