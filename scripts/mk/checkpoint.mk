# The checkpoint, unpacked once; its manifest is written last and stands for the folder.

CHECKPOINT := $(OUT)/checkpoint/manifest.json

# A checkpoint's size and time are compared with those that it had: a time in the future would be newer than whatever
# is made, at each run. As it is not a prerequisite, its name may have characters that are Make's. GNU stat, or BSD's.
# Of a folder, those of its files.
model_files = '$(MODEL)' $(if $(wildcard $(MODEL)/.),'$(MODEL)'/*)
model_state = $(if $(trained_here),,$(shell stat -Lc '%s %.9Y' -- $(model_files) 2> /dev/null || \
                stat -Lf '%z %Fm' -- $(model_files) 2> /dev/null))
# One that is trained in the same run has neither yet.
trained_here = $(filter $(TRAINED),$(MODEL))

# LEFT,RIGHT in encoder frames: an encoder of full attention attends to those only, for hours of audio.
ATT_CONTEXT ?=

flags.checkpoint = MODEL=$(MODEL) $(model_state) $(ATT_CONTEXT)

$(CHECKPOINT): $$(trained_here) $(OUT)/.flags/checkpoint $(call worker,checkpoint/unpack)
	$(call say,UNPACK)
	$(call run,checkpoint/unpack) --model='$(MODEL)' $(if $(ATT_CONTEXT),--att-context='$(ATT_CONTEXT)') --output $@

## Parts of a model
.PHONY: checkpoint
checkpoint: $(CHECKPOINT) ## unpack the checkpoint
