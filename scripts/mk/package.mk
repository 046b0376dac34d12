# Folders that other runtimes load as they are, made of checked graphs only. A folder is replaced as a whole; its
# SHA256SUMS is written last and stands for it.

PACKAGE_DIR ?= $(OUT)/package

ifneq ($(words $(PACKAGE_DIR)),1)
  $(error PACKAGE_DIR is '$(PACKAGE_DIR)': give one path without spaces, which Make cannot handle)
endif

packaged_graphs := encoder predictor joint
# $(call packaged,variant): the graphs of a variant that are built and checked; fp32 is always built.
packaged = $(patsubst $(OUT)/checks/%.check.json,$(OUT)/onnx/%,$(wildcard \
             $(packaged_graphs:%=$(OUT)/checks/%.$1.onnx.check.json)))
PACKAGED        := $(packaged_graphs:%=$(OUT)/onnx/%.onnx) $(call packaged,int8)
PACKAGED_CHECKS := $(PACKAGED:$(OUT)/onnx/%=$(OUT)/checks/%.check.json)

$(eval $(call flags,package,$(notdir $(PACKAGED))))

# $(call package_rule,runtime,worker)
define package_rule
$(PACKAGE_DIR)/$1/SHA256SUMS: $(PACKAGED) $(PACKAGED_CHECKS) $(META) $(OUT)/.flags/package $(call worker,$2)
	$$(call say,PACKAGE)
	$$(call run,$2) --graphs $(PACKAGED) --meta $(OUT)/meta/model_meta.json --tokens $(OUT)/meta/tokens.txt \
	    --output $$@
endef
$(eval $(call package_rule,sherpa-onnx,package_sherpa_onnx))
$(eval $(call package_rule,onnx-asr,package_onnx_asr))

## Packages
.PHONY: package-sherpa-onnx package-onnx-asr
package-sherpa-onnx: $(PACKAGE_DIR)/sherpa-onnx/SHA256SUMS ## a folder for sherpa-onnx
package-onnx-asr: $(PACKAGE_DIR)/onnx-asr/SHA256SUMS       ## a folder for onnx-asr and parakeet-rs
