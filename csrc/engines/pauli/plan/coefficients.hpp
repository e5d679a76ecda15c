// Turns the symbolic coefficients that blocks need into a list of instructions over registers.
#pragma once

#include <map>
#include <vector>

#include "engines/pauli/plan/expression.hpp"
#include "engines/pauli/plan/program.hpp"

namespace qrnn {

struct CoefficientProgram {
    std::vector<Constant> constants;
    std::vector<Trig> trigs;
    std::int32_t n_plain_trigs;
    std::vector<Segment> segments;
    std::vector<std::int32_t> operands;
    std::int32_t carried_in = 0, n_registers = 0, n_early_segments = 0;
};

// Registers, in order: constants, sines and cosines, carried numbers, results.
class CoefficientCompiler {
  public:
    CoefficientCompiler(const Expressions& expressions, int n_carried)
        : expressions_(expressions), n_carried_(n_carried) {}

    // Says that `value` is needed; resolve it with reg() after compile().
    void need(Value value) { needed_.push_back(value); }
    CoefficientProgram compile(std::int32_t vector_bytes);

    std::int32_t reg(Value value) const;

  private:
    struct Term {
        double sign;
        std::int32_t a, b;
    };
    struct Instruction {
        std::int32_t dst;
        std::vector<Term> terms;
    };
    struct Shape {  // what instructions of one run have in common
        std::int32_t n_terms = 0, sign_mask = 0, constant_mask = 0;
        auto operator<=>(const Shape&) const = default;
    };
    Shape shape_of(const Instruction& instruction) const;

    void mark(int node);
    void count_uses();
    void choose_scales();
    bool can_scale(const Node& node, double scale) const;
    std::int32_t constant(double value);
    Term term_of(double coefficient, int node);
    std::int32_t add_sum(std::vector<Term> terms);
    std::int32_t add_instruction(std::vector<Term> terms);
    void emit_segments(CoefficientProgram& program, std::int32_t vector_bytes);
    void emit_runs(CoefficientProgram& program, const std::vector<const Instruction*>& instructions,
                   std::vector<char>& done, std::int32_t vector_bytes);
    std::vector<const Instruction*> spread(std::vector<const Instruction*> run) const;
    void emit_run(CoefficientProgram& program, const std::vector<const Instruction*>& run, std::int32_t vector_bytes);

    const Expressions& expressions_;
    int n_carried_;
    std::vector<Value> needed_;
    std::vector<char> used_;
    std::vector<char> is_operand_, must_exist_;
    std::vector<double> scale_;  // by node: its register holds this times the node
    std::vector<std::int32_t> node_register_;
    std::map<double, std::int32_t> constants_;
    std::map<std::pair<double, int>, std::int32_t> scaled_;  // registers of c * node
    std::vector<std::int32_t> level_;                        // by register
    std::vector<Instruction> instructions_;
    std::int32_t n_registers_ = 0, next_register_ = 0;
    std::vector<std::int32_t> final_register_;  // results are numbered anew, in the order in which they are computed
};

}  // namespace qrnn
