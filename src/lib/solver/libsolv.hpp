// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

/// The libsolv headers as C++20 can read them: one has a member called "requires", a keyword now.
/// Include this instead of any <solv/...>.

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#define requires requires_
#include <solv/chksum.h>
#include <solv/evr.h>
#include <solv/pool.h>
#include <solv/poolarch.h>
#include <solv/queue.h>
#include <solv/repo.h>
#include <solv/repo_solv.h>
#include <solv/repo_write.h>
#include <solv/selection.h>
#include <solv/solvable.h>
#include <solv/solver.h>
#include <solv/solvversion.h>
#include <solv/transaction.h>
extern "C" {  // these do not say so themselves
#include <solv/pool_parserpmrichdep.h>
#include <solv/repo_rpmmd.h>
#include <solv/solv_xfopen.h>
}
#undef requires

namespace atomichost::solver {

constexpr unsigned kRelationBit = 0x80000000U;  // ISRELDEP() and GETRELDEP() without sign tricks

inline bool is_relation(Id dependency) {
  return (static_cast<unsigned>(dependency) & kRelationBit) != 0;
}
inline const Reldep& relation(const Pool* pool, Id dependency) {
  return pool->rels[static_cast<unsigned>(dependency) ^ kRelationBit];
}

}  // namespace atomichost::solver
