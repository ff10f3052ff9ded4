// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <atomic>

#include "base/error.hpp"

namespace atomichost {

/// A request to stop, set by a signal handler or another thread, looked at between steps.
/// Thread-safe.
class CancelToken {
 public:
  void cancel() noexcept { cancelled_.store(true, std::memory_order_relaxed); }
  [[nodiscard]] bool is_cancelled() const noexcept {
    return cancelled_.load(std::memory_order_relaxed);
  }
  /// @throws Cancelled
  void check() const {
    if (is_cancelled()) throw Cancelled();
  }

 private:
  std::atomic<bool> cancelled_{false};
};

}  // namespace atomichost
