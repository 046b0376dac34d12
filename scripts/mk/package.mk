# Folders that other runtimes load as they are, made of checked graphs only. A folder is replaced as a whole; its
# SHA256SUMS is written last and stands for it.

PACKAGE_DIR ?= $(OUT)/package

ifneq ($(words $(PACKAGE_DIR)),1)
  $(error PACKAGE_DIR is '$(PACKAGE_DIR)': give one path without spaces, which Make cannot handle)
endif

# $(call packaged,graphs): these in fp32, which is always built, and in int8 where that is built and checked.
packaged = $(1:%=$(OUT)/onnx/%.onnx) $(patsubst $(OUT)/checks/%.check.json,$(OUT)/onnx/%,$(wildcard \
             $(1:%=$(OUT)/checks/%.int8.onnx.check.json)))

# $(call package_rule,runtime,worker,encoder)
define package_rule
packaged_$1 := $(call packaged,$3 predictor joint)
$$(eval $$(call flags,package-$1,$$(notdir $$(packaged_$1))))
$(PACKAGE_DIR)/$1/SHA256SUMS: $$(packaged_$1) $$(packaged_$1:$(OUT)/onnx/%=$(OUT)/checks/%.check.json) $(META) \
    $(OUT)/.flags/package-$1 $(call worker,$2)
	$$(call say,PACKAGE)
	$$(call run,$2) --graphs $$(packaged_$1) --meta $(OUT)/meta/model_meta.json --tokens $(OUT)/meta/tokens.txt \
	    --output $$@
endef
# A model built to stream is packaged for sherpa-onnx's online recognizer.
$(eval $(call package_rule,sherpa-onnx,$(if $(STREAMING),package_sherpa_onnx_online,package_sherpa_onnx),$(if \
    $(STREAMING),encoder_streaming,encoder)))
$(eval $(call package_rule,onnx-asr,package_onnx_asr,encoder))

## Packages
.PHONY: package-sherpa-onnx package-onnx-asr
package-sherpa-onnx: $(PACKAGE_DIR)/sherpa-onnx/SHA256SUMS ## a folder for sherpa-onnx (STREAMING=1: for its online recognizer)
package-onnx-asr: $(PACKAGE_DIR)/onnx-asr/SHA256SUMS       ## a folder for onnx-asr and parakeet-rs
