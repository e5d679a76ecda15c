// A circuit compiled for sampling: pure states, one for each shot, through gates and draws.
//
// A shot's state holds the amplitudes of the wires that exist at that point of the step, a reset qubit only from its
// first gate to its measurement. What is drawn is one of a few Kraus operators at a time (elements.hpp); how likely
// each is follows from the reduced density matrix of the wires it acts on.
#pragma once

#include <vector>

#include "circuit/circuit.hpp"
#include "engines/factor/gate_tables.hpp"
#include "engines/trajectory/elements.hpp"
#include "engines/trajectory/program.hpp"

namespace qrnn {

// The tables of one stage, made from elements.
class TrajectoryTables {
  public:
    TrajectoryTables(const std::vector<Element>& elements, const std::vector<int>& memory_in,
                     const std::vector<int>& memory_out);
    TrajectoryTables(const TrajectoryTables&) = delete;
    TrajectoryTables& operator=(const TrajectoryTables&) = delete;

    const TrajectoryStage& view() const { return view_; }

    // After each element: the number of wires that exist.
    const std::vector<int>& active() const { return active_; }
    int most_active() const { return most_active_; }

    // Real multiply-adds for one shot.
    double operations() const { return operations_; }

  private:
    void add(const Element& element);
    void add_branches(const Element& element, TrajectoryElement& e);
    void add_parts(const Element& element, TrajectoryElement& e, const std::vector<int>& after);

    GateTables gates_;
    std::vector<KrausEntry> kraus_;
    std::vector<std::int32_t> bounds_, local_rows_;
    std::vector<TrajectoryElement> elements_;
    std::vector<TrajectoryPart> parts_;
    std::vector<std::int64_t> memory_rows_;
    std::vector<int> wires_;  // that exist now, wires_[k] at bit k of a row
    int table_size_ = 0, largest_table_ = 0, most_active_ = 0;
    std::vector<int> active_;
    double operations_ = 0;
    TrajectoryStage view_{};
};

class TrajectoryPlan {
  public:
    // Throws std::invalid_argument where nothing is measured.
    explicit TrajectoryPlan(const Circuit& circuit);

    const TrajectoryProgram& program() const { return view_; }
    int n_angles() const { return view_.n_angles; }
    int n_memory() const { return view_.n_memory; }
    int n_outcome() const { return view_.n_outcome; }

    // Of one step and shot.
    double operations() const { return step_->operations(); }
    // Of the states in flight on one thread.
    double workspace_bytes(int bytes_per_number) const;
    const std::vector<int>& active() const { return step_->active(); }

  private:
    std::unique_ptr<TrajectoryTables> step_, finish_;
    std::vector<ConfusionTable> confusion_;
    std::vector<double> cumulative_;
    TrajectoryProgram view_{};
};

}  // namespace qrnn
