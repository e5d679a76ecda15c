#include "engines/pauli/plan/expression.hpp"

#include <algorithm>
#include <cmath>

namespace qrnn {
namespace {

// Constants such as 1/sqrt(2)^2 + 1/2 - 1 cancel up to rounding only.
std::vector<std::pair<double, int>> nonzero(const std::map<int, double>& by_node) {
    std::vector<std::pair<double, int>> terms;
    for (const auto& [node, scale] : by_node)
        if (std::abs(scale) > 1e-15) terms.emplace_back(scale, node);
    return terms;
}

}  // namespace

int Expressions::argument_index(const TrigArgument& argument) {
    const auto [it, is_new] = argument_ids_.try_emplace(argument, static_cast<int>(arguments_.size()));
    if (is_new) arguments_.push_back(argument);
    return it->second;
}

int Expressions::intern(Node node) {
    const Key key{{static_cast<int>(node.kind), {node.a, node.b}}, node.terms};
    const auto [it, is_new] = ids_.try_emplace(key, static_cast<int>(nodes_.size()));
    if (is_new) nodes_.push_back(std::move(node));
    return it->second;
}

Value Expressions::product(Value a, Value b) {
    const double scale = a.scale * b.scale;
    if (scale == 0) return {};
    if (a.node == 0) return {scale, b.node};
    if (b.node == 0) return {scale, a.node};
    return {scale, intern({Node::Kind::product, std::min(a.node, b.node), std::max(a.node, b.node), {}})};
}

Value Expressions::sum(const std::vector<Value>& values) {
    std::map<int, double> by_node, multiplied_out;
    for (const Value& v : values)
        if (!v.is_zero()) by_node[v.node] += v.scale;
    for (const auto& [node, scale] : by_node) {
        if (nodes_[node].kind != Node::Kind::sum) multiplied_out[node] += scale;
        for (const auto& [coefficient, inner] : nodes_[node].terms) multiplied_out[inner] += scale * coefficient;
    }
    std::vector<std::pair<double, int>> terms = nonzero(by_node), all_terms = nonzero(multiplied_out);
    if (all_terms.size() <= terms.size()) terms = std::move(all_terms);
    if (terms.empty()) return {};
    if (terms.size() == 1) return {terms[0].first, terms[0].second};
    const double lead = terms[0].first;
    for (auto& term : terms) term.first /= lead;
    return {lead, intern({Node::Kind::sum, 0, 0, std::move(terms)})};
}

}  // namespace qrnn
