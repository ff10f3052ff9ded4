// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include "base/cancel.hpp"
#include "base/gptr.hpp"

namespace atomichost::sysroot {

/// A CancelToken that libostree's calls see as well. Thread-safe.
class Cancellation {
 public:
  Cancellation() : handle_(adopt(g_cancellable_new())) {}
  void cancel() noexcept {
    token_.cancel();
    g_cancellable_cancel(handle_.get());
  }
  void check() const { token_.check(); }
  [[nodiscard]] bool is_cancelled() const noexcept { return token_.is_cancelled(); }
  [[nodiscard]] const CancelToken& token() const noexcept { return token_; }
  [[nodiscard]] GCancellable* handle() const noexcept { return handle_.get(); }

 private:
  CancelToken token_;
  GPtr<GCancellable> handle_;
};

}  // namespace atomichost::sysroot
