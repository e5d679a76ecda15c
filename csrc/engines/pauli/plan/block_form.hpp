// Matrices that can be applied in fewer operations, or with fewer coefficients, than a dense one of their size.
#pragma once

#include "engines/pauli/plan/block_template.hpp"

namespace qrnn {

// Where the block's matrix is, up to the order of its rows and columns, one of the forms of program.hpp, brings them
// into that order and puts the form's coefficients in place of the matrix. All that counts is which entries are the
// same number up to a sign.
void find_form(BlockTemplate& block, Expressions& expressions);

}  // namespace qrnn
