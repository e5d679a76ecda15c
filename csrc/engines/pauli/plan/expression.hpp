// Symbolic coefficients: what stands in a superoperator before the angles are known.
//
// Expressions are nodes of a hash-consed graph, so equal subexpressions exist once and are computed once per time step.
// Constant factors, signs included, are kept outside of the nodes (Value::scale): x, -x and x/2 share a node.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace qrnn {

// scale * node. Node 0 is the number 1, so a constant is {c, 0}; zero is {0, 0}.
struct Value {
    double scale = 0;
    int node = 0;

    bool operator==(const Value&) const = default;
    bool is_zero() const { return scale == 0; }
    bool is_constant() const { return node == 0; }
    bool is_one() const { return node == 0 && scale == 1; }
};

// The argument of a sine and a cosine: offset + scale * angles[slot], in radians.
struct TrigArgument {
    int slot;
    double scale, offset;
    auto operator<=>(const TrigArgument&) const = default;
};

struct Node {
    enum class Kind { one, sine, cosine, carried, product, sum };
    Kind kind;
    int a = 0, b = 0;                           // product: two nodes; sine, cosine: argument a; carried: number a
    std::vector<std::pair<double, int>> terms;  // sum: coefficient and node, by ascending node, the first coefficient 1
};

class Expressions {
  public:
    Expressions() : nodes_{{Node::Kind::one, 0, 0, {}}} {}

    static Value constant(double c) { return {c, 0}; }
    Value sine(const TrigArgument& argument) { return leaf(Node::Kind::sine, argument_index(argument)); }
    Value cosine(const TrigArgument& argument) { return leaf(Node::Kind::cosine, argument_index(argument)); }
    // A number that the previous time step hands on (plan.hpp, 'carried').
    Value carried(int number) { return leaf(Node::Kind::carried, number); }
    Value product(Value a, Value b);
    Value sum(const std::vector<Value>& values);

    const std::vector<Node>& nodes() const { return nodes_; }
    const std::vector<TrigArgument>& arguments() const { return arguments_; }

  private:
    int argument_index(const TrigArgument& argument);
    Value leaf(Node::Kind kind, int a) { return {1.0, intern({kind, a, 0, {}})}; }
    int intern(Node node);

    std::vector<Node> nodes_;
    std::vector<TrigArgument> arguments_;
    std::map<TrigArgument, int> argument_ids_;
    using Key = std::pair<std::pair<int, std::pair<int, int>>, std::vector<std::pair<double, int>>>;
    std::map<Key, int> ids_;
};

}  // namespace qrnn
