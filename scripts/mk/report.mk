# All that can be built of a model here, and one page about what is in its folder.

# Graphs that are not fp32 are measured, which takes a validation set.
families := all $(if $(VALIDATION),evaluate variants onnx-optimized pte-check package-dynamic package-bundled \
              $(if $(filter speech,$(TASK)),package-sherpa-onnx package-onnx-asr)) \
              $(if $(TRT_ID),trt-engines trt-check)
# The page is of all families where everything is asked for, else of what is there.
reported := $(if $(filter everything,$(MAKECMDGOALS)),$(families)) \
              $(wildcard $(addprefix $(OUT)/,checks/*.check.json bench/*.json trt/*/*.json) \
              $(addprefix $(PACKAGE_DIR)/,*/SHA256SUMS */*/SHA256SUMS))

$(OUT)/report.html: $(META) $(CHECKS) $(reported) $(wildcard py/transducer/report/templates/*) \
    $(call worker,report/write)
	$(call say,REPORT)
	$(call run,report/write) --model $(OUT) --packages $(PACKAGE_DIR) --output $@

## Everything
.PHONY: everything report
everything: $(families) $(OUT)/report.html ## every family that this machine can build, and the report
report: $(OUT)/report.html                 ## one page of what was built: accuracy, files, speed, packages, engines
