// A device of fibers: runs the threads of a kernel one at a time, each until it waits at a barrier, so that device code
// can be tested where there is no GPU. Shared memory is filled with NaN before a block starts and holds exactly as many
// bytes as were asked for.
//
// The threads of a phase run in an order that the caller chooses: a result that depends on it tells of a race.
#include <ucontext.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "cuda/device.hpp"

namespace {

constexpr std::size_t stack_bytes = 256 * 1024;

struct Block {
    std::vector<unsigned char> shared;
    int size = 0, waiting = 0, left = 0;
    unsigned phase = 0;
};

struct Fiber {
    ucontext_t context;
    std::unique_ptr<unsigned char[]> stack;
    int block = 0, thread = 0;
    bool done = false;
};

ucontext_t scheduler;
std::vector<Block> blocks;
std::vector<Fiber> fibers;
Fiber* running = nullptr;
void (*kernel)(const void*) = nullptr;
const void* argument = nullptr;

void yield() { swapcontext(&running->context, &scheduler); }

void leave(Block& block) {  // a thread that has ended is not waited for
    --block.left;
    if (block.waiting > 0 && block.waiting == block.left) block.waiting = 0, ++block.phase;
}

void start() {
    kernel(argument);
    running->done = true;
    leave(blocks[running->block]);
    yield();
}

}  // namespace

namespace qrnn {
namespace cuda {

int thread_index() { return running->thread; }
int block_size() { return blocks[running->block].size; }
int block_index() { return running->block; }
int n_blocks() { return static_cast<int>(blocks.size()); }
void* shared_memory() { return blocks[running->block].shared.data(); }

void block_sync() {
    Block& block = blocks[running->block];
    const unsigned phase = block.phase;
    if (++block.waiting == block.left) {
        block.waiting = 0;
        ++block.phase;
    }
    while (block.phase == phase) yield();
}

void release(unsigned* count) { ++*count; }
unsigned acquire(unsigned* count) {
    yield();
    return *count;
}

}  // namespace cuda
}  // namespace qrnn

// Runs a kernel; `seed` 0 runs the threads in order, 1 in the opposite order, others shuffle them.
extern "C" void emulate(void (*function)(const void*), const void* argument_bytes, int grid, int threads,
                        std::size_t shared_bytes, unsigned seed) {
    kernel = function;
    argument = argument_bytes;
    blocks.assign(grid, {});
    fibers = std::vector<Fiber>(static_cast<std::size_t>(grid) * threads);
    std::vector<std::size_t> order(fibers.size());
    std::iota(order.begin(), order.end(), 0);
    if (seed == 1) std::reverse(order.begin(), order.end());
    std::mt19937 random(seed);
    for (Block& block : blocks) {
        block.shared.assign(shared_bytes, 0xff);
        block.size = block.left = threads;
    }
    for (std::size_t i = 0; i < fibers.size(); ++i) {
        Fiber& fiber = fibers[i];
        fiber.block = static_cast<int>(i / threads);
        fiber.thread = static_cast<int>(i % threads);
        fiber.stack.reset(new unsigned char[stack_bytes]);
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = stack_bytes;
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, start, 0);
    }
    for (std::size_t left = fibers.size(); left > 0;) {
        if (seed > 1) std::shuffle(order.begin(), order.end(), random);
        for (std::size_t i : order) {
            if (fibers[i].done) continue;
            running = &fibers[i];
            swapcontext(&scheduler, &running->context);
            if (fibers[i].done) --left;
        }
    }
}
