// Device code for one circuit: the tables of its plan as C++ text, and the files that go with them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/pauli.hpp"
#include "engines/pauli/plan/plan.hpp"

namespace qrnn {

// A table of the device, `QRNN_TABLE Type name[] = {...};`. An empty one gets an element that nobody reads: C++ has no
// empty arrays.
template <class T, class F>
std::string table(const std::string& type, const std::string& name, const T* numbers, std::int64_t n, F text) {
    std::string out = "QRNN_TABLE " + type + " " + name + "[] = {";
    for (std::int64_t i = 0; i < n; ++i) out += text(numbers[i]) + (i % 16 == 15 ? ",\n" : ",");
    return out + (n == 0 ? "{}" : "") + "};\n";
}
template <class T>
std::string table(const std::string& type, const std::string& name, const T* numbers, std::int64_t n) {
    return table(type, name, numbers, n, [](T x) { return std::to_string(x); });
}

// {a, b, ...}, as text.
std::string row(const std::vector<std::string>& fields);
std::string row(const std::int32_t* numbers, int n);

std::string constant(const std::string& name, std::int64_t value);
std::string exactly(double value);  // as a hexadecimal literal

cuda::PauliSizes pauli_sizes(const PauliPlan& plan);

// The plan (made with vectors of one byte, so that its offsets count places) as the tables that pauli.cuh reads.
// `real`: "float" or "double".
std::string pauli_source(const PauliPlan& plan, const std::string& real, int lanes);

// The files that a source includes: name as in the #include, text. Made from csrc at build time.
struct DeviceFile {
    const char *name, *text;
};
extern const std::vector<DeviceFile> device_files;

}  // namespace qrnn
