#!/usr/bin/env bash
# Compile a program of decoders/cpp for ExecuTorch: compile_cpp.sh COMPILER PYTHON EXECUTORCH OUTPUT MAIN.cpp ...
# EXECUTORCH is the folder of its Python package, which has headers and libraries; PYTHON has nlohmann_json.
set -eu
compiler=$1 python=$2 executorch=$3 output=$4
shift 4
if ! command -v "$compiler" >/dev/null; then
    echo "error: the compiler $compiler is missing; install it (Debian: apt-get install g++ g++-aarch64-linux-gnu)." >&2
    exit 2
fi
json=$("$python" -c 'import importlib.util as i; print(i.find_spec("nlohmann_json").submodule_search_locations[0])')
mkdir -p "$(dirname "$output")"
# Libraries whose kernels register themselves are linked though nothing names them.
"$compiler" -std=c++17 -O2 -Wall -Wextra -Werror -isystem "$executorch/include" \
    -isystem "$executorch/include/executorch/runtime/core/portable_type/c10" -isystem "$json/include" \
    -DC10_USING_CUSTOM_GENERATED_MACROS "$@" -o "$output.new" -L"$executorch/lib" -Wl,--no-as-needed -lexecutorch \
    -lexecutorch_backend_xnnpack -lexecutorch_kernels_optimized -lexecutorch_kernels_quantized \
    -lexecutorch_threadpool -Wl,--allow-shlib-undefined -Wl,-rpath,"$(realpath "$executorch/lib")"
mv "$output.new" "$output"
