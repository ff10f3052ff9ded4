// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <string>
#include <vector>

#include "solver/pool.hpp"

namespace atomichost::solver {

/// Why @p solver found no solution: one line per reason and, last, what to do.
/// @param requests  For each job (pair in the job queue) the request it came from.
[[nodiscard]] std::string explain(const PackagePool& pool, Solver* solver,
                                  const std::vector<std::string>& requests);

/// Whether a reason is that nobody provides a path: lists of files may know better.
[[nodiscard]] bool wants_filelists(const PackagePool& pool, Solver* solver);

/// Whether @p dependency is, or has in it, an absolute path.
[[nodiscard]] bool has_path(const PackagePool& pool, Id dependency);

}  // namespace atomichost::solver
