// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <chrono>
#include <mutex>
#include <string>

#include "base/progress.hpp"

namespace atomichost::compose {

/// Progress for people, on standard error: a bar that is redrawn on a terminal, one line per step
/// otherwise. Thread-safe.
class ConsoleProgress : public Progress {
 public:
  explicit ConsoleProgress(bool quiet);
  ~ConsoleProgress() override;
  void begin(const std::string& title, std::uint64_t total, const std::string& unit) override;
  void update(std::uint64_t done, const std::string& item) override;
  void end() override;
  void message(const std::string& line) override;

 private:
  using Clock = std::chrono::steady_clock;
  void draw();
  void erase();
  std::mutex mutex_;
  bool quiet_;
  bool is_terminal_;
  bool drawn_ = false;
  std::string title_, unit_, item_;
  std::uint64_t total_ = 0, done_ = 0;
  Clock::time_point begun_, last_drawn_;
};

}  // namespace atomichost::compose
