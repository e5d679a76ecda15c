#include "engines/pauli/plan/stage.hpp"

namespace qrnn {

Stage make_stage(const WireProgram& program, const std::vector<int>& wires) {
    Stage stage;
    stage.wires = wires;
    for (int w : wires) {
        stage.strides.push_back(stage.size);
        stage.size *= radix(program, w);
    }
    return stage;
}

std::vector<std::int64_t> local_offsets(const WireProgram& program, const Stage& stage, const std::vector<int>& wires) {
    std::vector<std::int64_t> offsets(size_t{1} << 2 * wires.size(), 0);
    for (size_t index = 0; index < offsets.size(); ++index)
        for (size_t j = 0; j < wires.size() && offsets[index] >= 0; ++j) {
            const int digit = index >> 2 * j & 3;
            if (!program.is_bit[wires[j]])
                offsets[index] += digit * stage.stride(wires[j]);
            else if (digit == 0 || digit == 3)
                offsets[index] += (digit / 3) * stage.stride(wires[j]);
            else
                offsets[index] = -1;
        }
    return offsets;
}

}  // namespace qrnn
