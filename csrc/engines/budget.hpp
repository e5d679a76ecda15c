// How much memory a plan or a run may ask for. Estimated first: nothing is allocated that is too large.
#pragma once

namespace qrnn {

// Half of what this process may use, in bytes: the least of the machine's memory, its container's and `ulimit -v`.
double memory_limit();

// Throws std::invalid_argument where `bytes` is above the limit: "<what> needs ... GB ...; <way_out>".
void check_memory(double bytes, const char* what, const char* way_out);

}  // namespace qrnn
