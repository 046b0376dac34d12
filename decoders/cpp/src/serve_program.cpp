// Runs a program for another process: serve_program FILE.pte, which py/transducer/runtime/remote.py talks to.
//
// A message, of inputs or of outputs, is a line with the number of its arrays; then for each a line with its type (f or
// i for float32 or int64) and its shape, and its values, little-endian. A failure is a line "error: SENTENCE".
#include <iostream>
#include <sstream>

#include "error.h"
#include "program.h"

namespace {

using transducer::Tensor;

template <typename Value>
std::vector<Value> read_values(size_t count) {
  std::vector<Value> values(count);
  std::cin.read(reinterpret_cast<char*>(values.data()), std::streamsize(count * sizeof(Value)));
  return values;
}

Tensor read_tensor() {
  std::string line, type;
  std::getline(std::cin, line);
  std::istringstream header(line);
  header >> type;
  Tensor tensor;
  size_t count = 1;
  for (int32_t size; header >> size; count *= size_t(size)) tensor.shape.push_back(size);
  if (type == "f") {
    tensor.values = read_values<float>(count);
  } else {
    tensor.values = read_values<int64_t>(count);
  }
  return tensor;
}

void write_tensor(const Tensor& tensor) {
  std::cout << (std::holds_alternative<std::vector<float>>(tensor.values) ? "f" : "i");
  for (const int32_t size : tensor.shape) std::cout << ' ' << size;
  std::cout << '\n';
  std::visit(
      [](const auto& values) {
        std::cout.write(reinterpret_cast<const char*>(values.data()),
                        std::streamsize(values.size() * sizeof(values[0])));
      },
      tensor.values);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) {
    std::cerr << "error: give serve_program FILE.pte.\n";
    return 2;
  }
  try {
    transducer::Program program(arguments[1]);
    std::cout << "ready" << std::endl;
    for (std::string line; std::getline(std::cin, line);) {
      std::vector<Tensor> inputs(std::stoul(line));
      for (Tensor& input : inputs) input = read_tensor();
      const std::vector<Tensor> outputs = program.run(inputs);
      std::cout << outputs.size() << '\n';
      for (const Tensor& output : outputs) write_tensor(output);
      std::cout.flush();
    }
  } catch (const transducer::Error& error) {
    std::cout << "error: " << error.what() << std::endl;
    return 2;
  }
  return 0;
}
