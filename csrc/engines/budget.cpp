#include "engines/budget.hpp"

#include <unistd.h>

#include <cstdio>
#include <stdexcept>
#include <string>

namespace qrnn {
namespace {

std::string gigabytes(double bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3g GB", bytes / 1e9);
    return text;
}

}  // namespace

double memory_limit() {
    static const double limit =
        0.5 * static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE));
    return limit;
}

void check_memory(double bytes, const char* what, const char* way_out) {
    if (bytes > memory_limit())
        throw std::invalid_argument(std::string(what) + " needs " + gigabytes(bytes) + " of memory, the limit is " +
                                    gigabytes(memory_limit()) + " (half of this machine's); " + way_out);
}

}  // namespace qrnn
