// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sysroot/deployment.hpp"

namespace atomichost::sysroot {

/// How far a pull is.
struct TransferProgress {
  std::uint64_t start_time_us = 0;  ///< monotonic clock
  std::uint64_t elapsed_s = 0;
  std::uint32_t outstanding_fetches = 0, outstanding_writes = 0;
  std::uint32_t scanned_metadata = 0, fetched_metadata = 0, outstanding_metadata = 0;
  std::uint32_t delta_parts = 0, fetched_delta_parts = 0, delta_superblocks = 0;
  std::uint64_t delta_bytes = 0;
  std::uint32_t fetched = 0, requested = 0;  ///< objects
  std::uint64_t bytes = 0, bytes_per_s = 0;

  bool operator==(const TransferProgress&) const = default;
};

/// What a long operation tells the outside. Called on the operation's thread.
class Reporter {
 public:
  virtual ~Reporter() = default;
  virtual void message(const std::string& /*line*/) {}
  virtual void task_begin(const std::string& /*what*/) {}
  virtual void task_end(const std::string& /*what*/) {}
  virtual void percent(const std::string& /*what*/, unsigned /*percent*/) {}
  virtual void transfer(const TransferProgress& /*progress*/) {}
  virtual void signatures(const std::vector<SharedVariant>& /*each*/,
                          const std::string& /*commit*/) {}
  virtual void progress_end() {}
};

}  // namespace atomichost::sysroot
