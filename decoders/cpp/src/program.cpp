#include "program.h"

#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/platform/platform.h>

#include "error.h"

namespace transducer {

namespace et = executorch;
using et::aten::ScalarType;

namespace {

// The runtime writes to standard error of what it looks for in vain on the processor; its errors come as codes.
void log_nothing(et_timestamp_t, et_pal_log_level_t, const char*, const char*, size_t, const char*, size_t) {}
const bool silent = et::runtime::register_pal(et::runtime::PalImpl::create(log_nothing, __FILE__));

}  // namespace

Program::Program(std::string path)
    : path_(std::move(path)), module_(path_, et::extension::Module::LoadMode::Mmap) {
  const auto error = module_.load_forward();
  if (error != et::runtime::Error::Ok) {
    throw Error("bad-graph", path_ + " cannot be loaded (ExecuTorch's error " + std::to_string(int(error)) +
                                 "); package the model again.");
  }
}

std::vector<Tensor> Program::run(const std::vector<Tensor>& inputs) {
  std::vector<et::extension::TensorPtr> tensors;
  std::vector<et::runtime::EValue> values;
  for (const Tensor& input : inputs) {
    // The runtime reads inputs only, but takes pointers that could be written to.
    tensors.push_back(std::visit(
        [&](const auto& data) {
          using Value = typename std::decay_t<decltype(data)>::value_type;
          return et::extension::make_tensor_ptr(std::vector<et::aten::SizesType>(input.shape.begin(), input.shape.end()),
                                                const_cast<Value*>(data.data()), {}, {},
                                                std::is_same_v<Value, float> ? ScalarType::Float : ScalarType::Long);
        },
        input.values));
    values.emplace_back(tensors.back());
  }
  const auto found = module_.forward(values);
  if (!found.ok()) {
    throw Error("bad-graph", path_ + " failed (ExecuTorch's error " + std::to_string(int(found.error())) +
                                 "); use graphs and metadata of one package.");
  }
  std::vector<Tensor> outputs;
  for (const et::runtime::EValue& value : *found) {
    const auto& tensor = value.toTensor();
    Tensor output;
    output.shape.assign(tensor.sizes().begin(), tensor.sizes().end());
    // Copied, because the next run reuses the runtime's memory.
    if (tensor.scalar_type() == ScalarType::Float) {
      const auto* data = tensor.const_data_ptr<float>();
      output.values = std::vector<float>(data, data + tensor.numel());
    } else {
      const auto* data = tensor.const_data_ptr<int64_t>();
      output.values = std::vector<int64_t>(data, data + tensor.numel());
    }
    outputs.push_back(std::move(output));
  }
  return outputs;
}

int64_t Program::size(size_t input, size_t axis) {
  const auto meta = module_.method_meta("forward");
  const auto tensor = meta.ok() ? meta->input_tensor_meta(input) : meta.error();
  if (!tensor.ok() || tensor->sizes().size() <= axis) {
    throw Error("bad-graph", path_ + " has other inputs than it should; package the model again.");
  }
  return tensor->sizes()[axis];
}

int64_t Program::number(const std::string& method) {
  const auto found = module_.execute(method);
  if (!found.ok() || found->size() != 1 || !found->front().isInt()) {
    throw Error("bad-graph", path_ + " does not tell " + method + "; package the model again.");
  }
  return found->front().toInt();
}

}  // namespace transducer
