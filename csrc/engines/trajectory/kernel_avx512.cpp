#define QRNN_ISA avx512
#define QRNN_VECTOR_BYTES 64
#include "engines/trajectory/kernel.inl"
