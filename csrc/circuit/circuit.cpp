#include "circuit/circuit.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace qrnn {
namespace {

// Pauli strings and outcome indices are held in 32-bit numbers with two bits a qubit.
constexpr int max_qubits = 30;

// Room for sums of angle numbers and others in 32 bits.
constexpr int max_angles = 1 << 24;

[[noreturn]] void refuse(const std::string& message) { throw std::invalid_argument(message); }

std::string count(int n, const char* noun) { return std::to_string(n) + " " + noun + (n == 1 ? "" : "s"); }

}  // namespace

Circuit::Circuit(int n_qubits, int n_angles) : n_qubits_(n_qubits), n_angles_(n_angles) {
    if (n_qubits < 1 || n_qubits > max_qubits)
        refuse("n_qubits must lie in 1.." + std::to_string(max_qubits) + ", not " + std::to_string(n_qubits));
    if (n_angles < 0 || n_angles > max_angles)
        refuse("n_angles must lie in 0.." + std::to_string(max_angles) + ", not " + std::to_string(n_angles));
}

int Circuit::new_angle() {
    if (n_angles_ == max_angles) refuse("a circuit has at most " + std::to_string(max_angles) + " angles");
    return n_angles_++;
}

void Circuit::append(std::string_view name, const std::vector<int>& qubits, const std::vector<Angle>& angles) {
    const OpInfo& info = find_op(name);
    const std::string op(info.name);
    const int n = static_cast<int>(qubits.size());
    if (info.n_qubits != 0 && n != info.n_qubits)
        refuse(op + " acts on " + count(info.n_qubits, "qubit") + ", got " + count(n, "qubit"));
    if (info.kind == OpKind::channel) refuse("a channel is appended with its Kraus operators");
    if (info.n_qubits == 0 && n == 0) refuse(op + " needs at least one qubit");
    check_qubits(op, qubits);
    if (static_cast<int>(angles.size()) != info.n_angles)
        refuse(op + " takes " + count(info.n_angles, "angle") + ", got " + std::to_string(angles.size()));
    for (const Angle& a : angles) {
        if (a.slot < -1 || a.slot >= n_angles_)
            refuse(op + ": angle slot " + std::to_string(a.slot) + " does not exist; the circuit has " +
                   count(n_angles_, "slot"));
        if (!std::isfinite(a.scale) || !std::isfinite(a.offset))
            refuse(op + ": an angle's scale and offset must be finite numbers");
    }
    Operation operation{&info, qubits, angles, {}, nullptr};
    if (info.kind == OpKind::measure) {
        for (int q : qubits)
            if (std::find(readout_.begin(), readout_.end(), q) != readout_.end())
                refuse("qubit " + std::to_string(q) +
                       " is measured already; a qubit is measured at most once in a time step");
        for (int q : qubits) {
            operation.bits.push_back(static_cast<int>(readout_.size()));
            readout_.push_back(q);
        }
    }
    operations_.push_back(std::move(operation));
}

void Circuit::check_qubits(const std::string& op, const std::vector<int>& qubits) const {
    for (size_t i = 0; i < qubits.size(); ++i) {
        const auto at = qubits.begin() + static_cast<std::ptrdiff_t>(i);
        if (*at < 0 || *at >= n_qubits_)
            refuse(op + ": qubit " + std::to_string(*at) + " does not exist; the circuit has qubits 0.." +
                   std::to_string(n_qubits_ - 1));
        if (std::find(qubits.begin(), at, *at) != at) refuse(op + ": qubit " + std::to_string(*at) + " is named twice");
    }
}

void Circuit::append_channel(const std::vector<int>& qubits, Channel channel) {
    constexpr size_t max_kraus = 16;
    constexpr double tolerance = 1e-6;
    const int n = static_cast<int>(qubits.size()), dim = 1 << channel.n_qubits;
    if (n != channel.n_qubits)
        refuse("the channel acts on " + count(channel.n_qubits, "qubit") + ", got " + count(n, "qubit"));
    check_qubits("channel", qubits);
    if (channel.kraus.empty() || channel.kraus.size() > max_kraus)
        refuse("a channel has 1 to " + std::to_string(max_kraus) + " Kraus operators, got " +
               std::to_string(channel.kraus.size()));
    double trace = 0;
    for (int row = 0; row < dim; ++row)
        for (int col = 0; col < dim; ++col) {
            std::complex<double> sum = row == col ? -1 : 0;
            for (const Matrix4& k : channel.kraus)
                for (int i = 0; i < dim; ++i) sum += std::conj(k[4 * i + row]) * k[4 * i + col];
            if (!(std::abs(sum) <= tolerance))  // NaN included
                refuse("a channel's Kraus operators must satisfy sum K^dagger K = 1; here they miss it by " +
                       std::to_string(std::abs(sum)));
            if (row == col) trace += sum.real() + 1;
        }
    const double scale = std::abs(trace / dim - 1) > 1e-12 ? std::sqrt(dim / trace) : 1;  // a second time, 1
    for (Matrix4& k : channel.kraus)
        for (std::complex<double>& z : k) z *= scale;
    operations_.push_back({&find_op("channel"), qubits, {}, {}, std::make_shared<const Channel>(std::move(channel))});
}

void Circuit::add_readout_error(const std::vector<int>& qubits, std::vector<double> confusion) {
    constexpr double tolerance = 1e-6;
    constexpr size_t max_bits = 10;
    if (qubits.empty() || qubits.size() > max_bits)
        refuse("a readout error acts on 1 to " + std::to_string(max_bits) + " qubits, got " +
               std::to_string(qubits.size()));
    ReadoutError error{{}, std::move(confusion)};
    for (int q : qubits) {
        const auto at = std::find(readout_.begin(), readout_.end(), q);
        if (at == readout_.end()) refuse("readout error: qubit " + std::to_string(q) + " is not measured");
        error.bits.push_back(static_cast<int>(at - readout_.begin()));
        for (const ReadoutError& other : readout_errors_)
            if (std::find(other.bits.begin(), other.bits.end(), error.bits.back()) != other.bits.end())
                refuse("qubit " + std::to_string(q) + " has a readout error already");
        if (std::count(error.bits.begin(), error.bits.end(), error.bits.back()) > 1)
            refuse("readout error: qubit " + std::to_string(q) + " is named twice");
    }
    const size_t n = size_t{1} << qubits.size();
    if (error.confusion.size() != n * n)
        refuse("the confusion matrix of " + count(static_cast<int>(qubits.size()), "qubit") + " has " +
               std::to_string(n * n) + " elements, got " + std::to_string(error.confusion.size()));
    for (size_t actual = 0; actual < n; ++actual) {
        double sum = 0;
        for (size_t observed = 0; observed < n; ++observed) {
            const double p = error.confusion[n * observed + actual];
            if (!(p >= 0)) refuse("a confusion matrix holds probabilities, got " + std::to_string(p));
            sum += p;
        }
        if (!(std::abs(sum - 1) <= tolerance))
            refuse("the columns of a confusion matrix, one for each actual outcome, add up to 1; column " +
                   std::to_string(actual) + " gives " + std::to_string(sum));
    }
    readout_errors_.push_back(std::move(error));
}

void Circuit::check_measured() const {
    if (readout_.empty()) refuse("the circuit measures nothing; call measure([...]) on at least one qubit");
}

std::vector<int> Circuit::memory() const {
    std::vector<bool> carried(n_qubits_, true);
    for (const Operation& op : operations_)
        for (int q : op.qubits) carried[q] = op.info->kind != OpKind::reset;
    std::vector<int> memory;
    for (int q = 0; q < n_qubits_; ++q)
        if (carried[q]) memory.push_back(q);
    return memory;
}

}  // namespace qrnn
