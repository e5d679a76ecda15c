#include "engines/budget.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>

namespace qrnn {
namespace {

std::string gigabytes(double bytes) {
    char text[32];
    std::snprintf(text, sizeof text, "%.3g GB", bytes / 1e9);
    return text;
}

// The number in a file; infinity where there is none.
double number_in(const std::string& file) {
    double number = 0;
    return std::ifstream(file) >> number ? number : std::numeric_limits<double>::infinity();
}

// What the control groups of this process allow (Linux; version 2, then 1 as a container sees it).
double container_limit() {
    const std::string root = "/sys/fs/cgroup", file = "/memory.max";
    double limit = std::min(number_in(root + file), number_in(root + "/memory/memory.limit_in_bytes"));
    std::ifstream groups("/proc/self/cgroup");
    for (std::string line; std::getline(groups, line);) {
        if (line.rfind("0::", 0) != 0) continue;
        for (std::string path = line.substr(3); path.size() > 1; path.erase(path.rfind('/')))
            limit = std::min(limit, number_in(root + path + file));
    }
    return limit;
}

double process_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return std::numeric_limits<double>::infinity();
    return static_cast<double>(limit.rlim_cur);
}

}  // namespace

double memory_limit() {
    static const double machine_limit = std::min(
        static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGESIZE)), container_limit());
    return 0.5 * std::min(machine_limit, process_limit());
}

void check_memory(double bytes, const char* what, const char* way_out) {
    constexpr double granted = 1 << 20;  // to anyone: asking the system takes longer than a few steps
    if (bytes > granted && bytes > memory_limit())
        throw std::invalid_argument(std::string(what) + " needs " + gigabytes(bytes) + " of memory, the limit is " +
                                    gigabytes(memory_limit()) + " (half of what this process may use); " + way_out);
}

}  // namespace qrnn
