#include "bindings/tensors.hpp"

#include <pybind11/gil_safe_call_once.h>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <array>
#include <cstdlib>
#include <new>

#include "engines/budget.hpp"

namespace py = pybind11;

namespace qrnn {
namespace {

struct Torch {
    py::object tensor_class, storage_of;
    const dlpack::ExchangeTable* table;
};

const Torch& torch() {
    PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<Torch> storage;
    return storage
        .call_once_and_store_result([] {
            const py::object tensor_class = py::module_::import("torch").attr("Tensor");
            const py::object capsule = py::getattr(tensor_class, dlpack::table_attribute, py::none());
            const auto* table = capsule.is_none() ? nullptr
                                                  : static_cast<const dlpack::ExchangeTable*>(
                                                        PyCapsule_GetPointer(capsule.ptr(), dlpack::table_capsule));
            if (PyErr_Occurred()) throw py::error_already_set();
            while (table && table->version.major != dlpack::major_version) table = table->older;
            if (!table || !table->view)
                throw py::import_error(
                    "this PyTorch does not hand over tensors by DLPack 1; install PyTorch 2.10 or "
                    "newer, or a newer qrnn_fast");
            return Torch{tensor_class, tensor_class.attr("untyped_storage"), table};
        })
        .get_stored();
}

std::string type_text(dlpack::DataType type) {
    constexpr std::array<const char*, 7> names = {"int", "uint", "float", "opaque", "bfloat", "complex", "bool"};
    const auto kind = static_cast<std::size_t>(type.kind);
    return (kind < names.size() ? names[kind] : "a type of ") + std::to_string(type.bits);
}

bool has_no_gaps(const dlpack::Tensor& tensor) {
    std::int64_t step = 1;
    for (int d = tensor.n_dimensions; d-- > 0; step *= tensor.shape[d])
        if (tensor.shape[d] != 1 && tensor.strides[d] != step) return false;
    return true;
}

// A tensor and its numbers in one piece of memory, which `deleter` frees.
constexpr int most_dimensions = 4;
constexpr std::size_t block_alignment = 64;
struct alignas(block_alignment) Block {
    dlpack::ManagedTensor managed;
    std::int64_t shape[most_dimensions], strides[most_dimensions];
};

Block* new_block(double bytes) {
    const auto rounded = (static_cast<std::size_t>(bytes) / block_alignment + 1) * block_alignment;
    void* memory = std::aligned_alloc(block_alignment, sizeof(Block) + rounded);
    if (!memory) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    // Large results are written once, front to back: fewer pages, fewer faults. As NumPy does from 4 MiB on.
    if (rounded >= std::size_t{1} << 22) {
        const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
        const auto begin = reinterpret_cast<std::size_t>(memory);
        const std::size_t first = (begin + page - 1) / page * page,
                          last = (begin + sizeof(Block) + rounded) / page * page;
        madvise(reinterpret_cast<void*>(first), last - first, MADV_HUGEPAGE);
    }
#endif
    return new (memory) Block{};
}

}  // namespace

std::string shape_text(const Shape& shape) {
    std::string text = "(";
    for (std::size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
    return text + ")";
}

bool TensorView::is_tensor(py::handle object) {
    return PyObject_TypeCheck(object.ptr(), reinterpret_cast<PyTypeObject*>(torch().tensor_class.ptr()));
}

TensorView::TensorView(py::handle tensor) {
    if (torch().table->view(tensor.ptr(), &tensor_) != 0) {
        py::error_already_set error;
        py::raise_from(error, PyExc_TypeError, "a tensor must be dense, with storage, on the CPU");
        throw py::error_already_set();
    }
    storage_ = torch().storage_of(tensor);
}

bool TensorView::is_float32(const char* name) const {
    if (tensor_.type == data_type<float>()) return true;
    if (tensor_.type == data_type<double>()) return false;
    throw py::type_error(std::string(name) + " must be float32 or float64, got " + type_text(tensor_.type));
}

const void* TensorView::checked(const char* name, const Shape& wanted, dlpack::DataType type,
                                std::size_t alignment) const {
    const std::string must = std::string(name) + " must ";
    if (tensor_.type != type)
        throw py::type_error(must + "have the type " + type_text(type) + ", got " + type_text(tensor_.type));
    if (!std::equal(wanted.begin(), wanted.end(), tensor_.shape, tensor_.shape + tensor_.n_dimensions))
        throw py::value_error(must + "have the shape " + shape_text(wanted) + ", got " + shape_text(shape()));
    if (tensor_.device.type != dlpack::cpu) throw py::value_error(must + "be on the CPU");
    const auto* data = static_cast<const char*>(tensor_.data) + tensor_.byte_offset;
    if (std::find(wanted.begin(), wanted.end(), 0) != wanted.end()) return data;  // never read from
    if (!tensor_.data) throw py::value_error(must + "hold numbers, got a tensor without storage");
    if (!has_no_gaps(tensor_) || reinterpret_cast<std::uintptr_t>(data) % alignment != 0)
        throw py::value_error(must + "be contiguous and aligned");
    return data;
}

NewTensor::NewTensor(const Shape& shape, dlpack::DataType type, const char* what) {
    double bytes = type.bits / 8.0;
    for (std::int64_t n : shape) bytes *= static_cast<double>(n);
    check_memory(bytes, what, "ask for fewer sequences, steps or shots, or carry and measure fewer qubits");
    Block* block = new_block(bytes);
    std::copy(shape.begin(), shape.end(), block->shape);
    std::int64_t step = 1;
    for (auto d = shape.size(); d-- > 0; step *= std::max<std::int64_t>(shape[d], 1)) block->strides[d] = step;
    data = block + 1;
    block->managed.version = {dlpack::major_version, 0};
    block->managed.deleter = [](dlpack::ManagedTensor* managed) { std::free(managed); };  // a block begins with it
    block->managed.tensor = {
        data, {dlpack::cpu, 0}, static_cast<std::int32_t>(shape.size()), type, block->shape, block->strides, 0};
    void* made = nullptr;  // where that fails, DLPack leaves open who owns the block: it is not freed
    if (torch().table->import_owned(&block->managed, &made) != 0) throw py::error_already_set();
    object = py::reinterpret_steal<py::object>(static_cast<PyObject*>(made));
}

}  // namespace qrnn
