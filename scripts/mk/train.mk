# Training, for models of both tasks. It is not part of `all`, which starts from a checkpoint; the result stays in out/
# until someone copies it to models/.

STEPS            ?=
# A time budget in place of STEPS, for swipe models.
MINUTES          ?=
TRAINED          ?= $(OUT)/train/$(NAME).nemo

# An hour of training is not repeated because a library was installed again.
sources = $(filter-out $(ENV),$(call worker,$1))

# Memory that a step frees stays with the process: to fetch it from the system again took a third of a step.
$(TRAINED): export MALLOC_ARENA_MAX       := 1
$(TRAINED): export MALLOC_MMAP_MAX_       := 0
$(TRAINED): export MALLOC_TRIM_THRESHOLD_ := 4000000000

## Training
.PHONY: train
train: $(TRAINED) ## train CONFIG's checkpoint (STEPS= or MINUTES= shortens it)
