// Each topic registers its functions and classes; module.cpp only calls them.
#pragma once

#include <pybind11/pybind11.h>

namespace qrnn {

void register_ops(pybind11::module_& m);
void register_circuit(pybind11::module_& m);
void register_engine(pybind11::module_& m);
void register_sampling(pybind11::module_& m);
void register_cuda(pybind11::module_& m);

}  // namespace qrnn
