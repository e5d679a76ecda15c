#include "ops/op_table.hpp"

#include <algorithm>
#include <numbers>
#include <stdexcept>

namespace qrnn {
namespace {

constexpr double pi = std::numbers::pi;
constexpr double inv_sqrt2 = 1 / std::numbers::sqrt2;

int count_angles(const std::vector<Factor>& factors) {
    int highest = -1;
    for (const Factor& f : factors) highest = std::max(highest, f.angle);
    return highest + 1;
}

OpInfo gate(std::string_view name, int n_qubits, std::string_view inverse, std::string_view qiskit_name,
            std::string_view help, std::vector<Factor> factors) {
    const int n_angles = count_angles(factors);
    return {name, OpKind::gate, n_qubits, n_angles, inverse, qiskit_name, help, std::move(factors)};
}

std::vector<OpInfo> build_table() {
    std::vector<OpInfo> table;
#define ANGLE(index, ...)           \
    Factor {                        \
        index, 0.0, { __VA_ARGS__ } \
    }
#define FIXED(radians, ...) \
    Factor {                \
        -1, radians, {      \
            __VA_ARGS__     \
        }                   \
    }
#define GATE(name, n_qubits, inverse, qiskit_name, help, ...) \
    table.push_back(gate(name, n_qubits, inverse, qiskit_name, help, {__VA_ARGS__}));
#define CHANNEL(name, kind, qiskit_name, help) table.push_back({name, OpKind::kind, 0, 0, "", qiskit_name, help, {}});
#include "ops/op_table.inc"
#undef ANGLE
#undef FIXED
#undef GATE
#undef CHANNEL
    return table;
}

}  // namespace

std::span<const OpInfo> op_table() {
    static const std::vector<OpInfo> table = build_table();
    return table;
}

const OpInfo& find_op(std::string_view name) {
    std::string known;
    for (const OpInfo& op : op_table()) {
        if (op.name == name) return op;
        known += known.empty() ? "" : ", ";
        known += op.name;
    }
    throw std::invalid_argument("unknown op '" + std::string(name) + "'; accepted: " + known);
}

}  // namespace qrnn
