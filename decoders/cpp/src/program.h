// An ExecuTorch program (.pte) as a function of tensors.
//
//     Program step("graphs/rnnt_step.pte");
//     std::vector<Tensor> outputs = step.run({frame, label, h, c});
#pragma once

#include <executorch/extension/module/module.h>

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace transducer {

// float32 or int64 values in row-major order.
struct Tensor {
  std::vector<int32_t> shape;
  std::variant<std::vector<float>, std::vector<int64_t>> values;

  const std::vector<float>& floats() const { return std::get<std::vector<float>>(values); }
};

class Program {
 public:
  // Throws: Error "bad-graph" if the file is not a program that this runtime loads.
  explicit Program(std::string path);

  // Runs the method "forward". Throws: Error "bad-graph" if the program refuses the inputs or fails.
  std::vector<Tensor> run(const std::vector<Tensor>& inputs);

  // The size of an axis of an input of "forward", at most where it is dynamic. Throws: Error "bad-graph".
  int64_t size(size_t input, size_t axis);

  // The number that a method without inputs gives, as min_T does. Throws: Error "bad-graph".
  int64_t number(const std::string& method);

 private:
  std::string path_;
  executorch::extension::Module module_;
};

}  // namespace transducer
