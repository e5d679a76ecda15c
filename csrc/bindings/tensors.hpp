// PyTorch's tensors as bindings take and return them: looked at where they lie, made without a copy. They come and go
// by PyTorch's table of C functions (dlpack.hpp), so nothing is linked to it, and one build serves all its versions.
#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "bindings/dlpack.hpp"

namespace qrnn {

using Shape = std::vector<std::int64_t>;

std::string shape_text(const Shape& shape);

template <class Number>
constexpr dlpack::DataType data_type() {
    constexpr auto kind = std::is_integral_v<Number>         ? dlpack::Kind::integer
                          : std::is_floating_point_v<Number> ? dlpack::Kind::real
                                                             : dlpack::Kind::complex;
    return {kind, 8 * sizeof(Number), 1};
}

// A tensor of the caller's, while a call lasts. Its memory is held: a signal handler or another thread may put other
// data into the tensor meanwhile. One that is conjugated or negated lazily does not look so here: its marks have to be
// resolved before.
class TensorView {
  public:
    TensorView() = default;
    explicit TensorView(pybind11::handle tensor);
    static bool is_tensor(pybind11::handle object);

    int n_dimensions() const { return tensor_.n_dimensions; }
    std::int64_t size(int dimension) const { return tensor_.shape[dimension]; }
    Shape shape() const { return {tensor_.shape, tensor_.shape + tensor_.n_dimensions}; }

    // Whether angles or probabilities are float32; if not, they are float64, else Python's TypeError is thrown.
    bool is_float32(const char* name) const;

    // The numbers, row-major. Throws Python's TypeError or ValueError, naming the argument, unless they are of this
    // type and shape, without gaps, aligned, and on the CPU.
    template <class Number>
    const Number* numbers(const char* name, const Shape& shape) const {
        return static_cast<const Number*>(checked(name, shape, data_type<Number>(), alignof(Number)));
    }

  private:
    const void* checked(const char* name, const Shape& shape, dlpack::DataType type, std::size_t alignment) const;

    dlpack::Tensor tensor_{};
    pybind11::object storage_;
};

// A new tensor whose numbers are still to be written, row-major. Throws std::invalid_argument where there is no room
// for it; `what` names it.
struct NewTensor {
    NewTensor(const Shape& shape, dlpack::DataType type, const char* what);

    pybind11::object object;
    void* data;
};

}  // namespace qrnn

template <>
struct pybind11::detail::type_caster<qrnn::TensorView> {
    PYBIND11_TYPE_CASTER(qrnn::TensorView, const_name("torch.Tensor"));
    bool load(handle source, bool) {
        if (!qrnn::TensorView::is_tensor(source)) return false;
        value = qrnn::TensorView(source);
        return true;
    }
};
