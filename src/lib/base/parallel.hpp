// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstddef>
#include <functional>

#include "base/cancel.hpp"

namespace atomichost {

/// Run @p work(worker, item) for every item in [0, items) on @p workers threads; items start in
/// order. The first exception stops the start of further items and is rethrown here once all
/// threads have ended.
/// @throws Cancelled when @p cancel is set between items.
void parallel_for(std::size_t workers, std::size_t items,
                  const std::function<void(std::size_t worker, std::size_t item)>& work,
                  const CancelToken* cancel = nullptr);

}  // namespace atomichost
