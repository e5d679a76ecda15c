#define QRNN_ISA baseline
#define QRNN_VECTOR_BYTES 16
#include "engines/trajectory/kernel.inl"
