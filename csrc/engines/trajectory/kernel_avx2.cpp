#define QRNN_ISA avx2
#define QRNN_VECTOR_BYTES 32
#include "engines/trajectory/kernel.inl"
