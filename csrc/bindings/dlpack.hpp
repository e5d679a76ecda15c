// DLPack 1, the layout in which array libraries hand each other their data, and the table of C functions by which they
// do it fast: https://github.com/dmlc/dlpack, include/dlpack/dlpack.h. What is not used here is left out or a pointer.
#pragma once

#include <cstdint>

namespace qrnn::dlpack {

constexpr std::uint32_t major_version = 1;

struct Version {
    std::uint32_t major, minor;
};

struct Device {
    std::int32_t type, number;
};
constexpr std::int32_t cpu = 1;  // a device type

enum class Kind : std::uint8_t { integer = 0, real = 2, complex = 5 };

struct DataType {
    Kind kind;
    std::uint8_t bits;
    std::uint16_t lanes;
    bool operator==(const DataType&) const = default;
};

// Strides count elements. Shape and strides belong to whoever made the tensor.
struct Tensor {
    void* data;
    Device device;
    std::int32_t n_dimensions;
    DataType type;
    std::int64_t *shape, *strides;
    std::uint64_t byte_offset;
};

// A tensor that owns its data: whoever gets it calls `deleter` on it at the end.
struct ManagedTensor {
    Version version;
    void* context;
    void (*deleter)(ManagedTensor*);
    std::uint64_t flags;
    Tensor tensor;
};

// What a class of tensors holds as `__dlpack_c_exchange_api__`, in a capsule of the name below. Functions return 0, or
// -1 with a Python exception set.
struct ExchangeTable {
    Version version;
    const ExchangeTable* older;
    void *allocate, *export_owned;
    int (*import_owned)(ManagedTensor* tensor, void** python_object);  // takes the tensor over
    int (*view)(void* python_object, Tensor* out);  // valid while the object lives and is not changed
    void* current_stream;
};
constexpr const char* table_attribute = "__dlpack_c_exchange_api__";
constexpr const char* table_capsule = "dlpack_exchange_api";

}  // namespace qrnn::dlpack
