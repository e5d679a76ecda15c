// The instruction set the kernels run with: the best this processor has, or the one that the environment variable
// QRNN_FAST_ISA names.
#pragma once

#include <string>
#include <vector>

namespace qrnn {

enum class Isa { baseline, avx2, avx512 };

// Throws std::runtime_error where QRNN_FAST_ISA names a set that is unknown or that this processor lacks.
Isa chosen_isa();
std::string isa_name(Isa isa);
std::vector<Isa> available_isas();

}  // namespace qrnn
