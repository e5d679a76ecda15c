// A range allocator over the places of the state.
#pragma once

#include <cstdint>
#include <iterator>
#include <map>

namespace qrnn {

class Places {
  public:
    // First of n neighbouring places.
    std::int32_t take(std::int32_t n) {
        for (auto it = free_.begin(); it != free_.end(); ++it) {
            if (it->second < n) continue;
            const std::int32_t start = it->first, rest = it->second - n;
            free_.erase(it);
            if (rest > 0) free_[start + n] = rest;
            return start;
        }
        size_ += n;
        return size_ - n;
    }

    void give_back(std::int32_t place) {
        auto it = free_.emplace(place, 1).first;
        if (it != free_.begin()) {
            auto previous = std::prev(it);
            if (previous->first + previous->second == place) {
                previous->second += 1;
                free_.erase(it);
                it = previous;
            }
        }
        const auto next = std::next(it);
        if (next != free_.end() && it->first + it->second == next->first) {
            it->second += next->second;
            free_.erase(next);
        }
    }

    std::int32_t size() const { return size_; }

  private:
    std::map<std::int32_t, std::int32_t> free_;  // start, length
    std::int32_t size_ = 0;
};

}  // namespace qrnn
