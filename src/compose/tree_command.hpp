// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "base/cancel.hpp"
#include "base/progress.hpp"
#include "options.hpp"

namespace atomichost::compose {

/// Compose a treefile into a commit: everything `atomic-compose tree` does but reading the command
/// line. Prints its result to standard output, as text or, with options.json, as one JSON object.
/// @throws Error, Cancelled; the repository's refs, the cache and the output files are as they
/// were.
void compose_tree(const TreeOptions& options, Progress& progress, const CancelToken& cancel);

}  // namespace atomichost::compose
