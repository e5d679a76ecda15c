// Device code for one circuit: the tables of its plan as C++ text, and the files that go with them.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "cuda/factor.hpp"
#include "cuda/pauli.hpp"
#include "cuda/trajectory.hpp"
#include "engines/factor/plan.hpp"
#include "engines/pauli/plan/plan.hpp"
#include "engines/trajectory/plan.hpp"

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

// A macro that lists what is to be compiled: name(CASE) is "CASE(a) CASE(b) ...".
std::string define_cases(const std::string& name, const std::set<std::string>& cases);

std::string constant(const std::string& name, std::int64_t value);
std::string exactly(double value);  // as a hexadecimal literal

cuda::PauliSizes pauli_sizes(const PauliPlan& plan);

// The plan (made with vectors of one byte, so that its offsets count places) as the tables that pauli.cuh reads.
// `real`: "float" or "double".
std::string pauli_source(const PauliPlan& plan, const std::string& real, int lanes);

// Throws std::invalid_argument where a state has too many numbers for the device's indices.
cuda::TrajectorySizes trajectory_sizes(const TrajectoryPlan& plan);

// The plan as the tables that trajectory.cuh reads.
std::string trajectory_source(const TrajectoryPlan& plan, const std::string& real);

// What marginal.cuh needs, which is no plan.
std::string marginal_source(const std::string& real);

cuda::FactorSizes factor_sizes(const FactorPlan& plan);

// The plan as the tables that factor.cuh reads; `width`: columns of a chunk, a power of 2 from 2 on.
std::string factor_source(const FactorPlan& plan, const std::string& real, int width);

// The files that a source includes: name as in the #include, text. Made from csrc at build time.
struct DeviceFile {
    const char *name, *text;
};
extern const std::vector<DeviceFile> device_files;

}  // namespace qrnn
