// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <utility>

namespace atomichost {

/// Runs @p fn when the scope ends, unless dismissed. @p fn must not throw.
template <typename Fn>
class ScopeExit {
 public:
  explicit ScopeExit(Fn fn) : fn_(std::move(fn)) {}
  ScopeExit(const ScopeExit&) = delete;
  ScopeExit& operator=(const ScopeExit&) = delete;
  ~ScopeExit() {
    if (armed_) fn_();
  }
  void dismiss() noexcept { armed_ = false; }

 private:
  Fn fn_;
  bool armed_ = true;
};

}  // namespace atomichost
