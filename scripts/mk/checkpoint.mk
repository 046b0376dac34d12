# The checkpoint, unpacked once; its manifest is written last and stands for the folder.

CHECKPOINT := $(OUT)/checkpoint/manifest.json

flags.checkpoint = MODEL=$(MODEL)

$(CHECKPOINT): $(MODEL) $(OUT)/.flags/checkpoint $(call worker,checkpoint/unpack)
	$(call say,UNPACK)
	$(call run,checkpoint/unpack) --model $(MODEL) --output $@

# Reached only when the file is missing: the worker says so in its own words.
$(MODEL):

## Parts of a model
.PHONY: checkpoint
checkpoint: $(CHECKPOINT) ## unpack the checkpoint
