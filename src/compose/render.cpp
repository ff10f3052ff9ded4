// SPDX-License-Identifier: LGPL-2.1-or-later
#include "render.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "base/strings.hpp"

namespace atomichost::compose {
namespace {

constexpr auto kRedrawEvery = std::chrono::milliseconds(100);

std::size_t terminal_width() {
  winsize size{};
  if (!ioctl(STDERR_FILENO, TIOCGWINSZ, &size) && size.ws_col > 0) return size.ws_col;
  return 80;
}

bool usable_terminal() {
  const char* term = getenv("TERM");
  return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

std::string amount(std::uint64_t value, const std::string& unit) {
  return unit == "bytes" ? human_bytes(value) : std::to_string(value);
}

}  // namespace

ConsoleProgress::ConsoleProgress(bool quiet) : quiet_(quiet), is_terminal_(usable_terminal()) {}

ConsoleProgress::~ConsoleProgress() {
  erase();
}

void ConsoleProgress::erase() {
  if (!drawn_) return;
  fputs("\r\033[K", stderr);
  fflush(stderr);
  drawn_ = false;
}

void ConsoleProgress::draw() {
  last_drawn_ = Clock::now();
  const double seconds = std::chrono::duration<double>(last_drawn_ - begun_).count();
  std::string right = amount(done_, unit_);
  if (total_) right += "/" + amount(total_, unit_);
  if (!unit_.empty() && unit_ != "bytes") right += " " + unit_;
  if (unit_ == "bytes" && seconds > 0.5)
    right += fmt::format(
        "  {}/s", human_bytes(static_cast<std::uint64_t>(static_cast<double>(done_) / seconds)));
  if (total_ && done_ && done_ < total_ && seconds > 1)
    right += fmt::format("  {:.0f}s left", seconds / static_cast<double>(done_) *
                                               static_cast<double>(total_ - done_));
  std::string line = title_ + " ";
  if (total_) {
    constexpr std::size_t kBar = 20;
    const auto full = std::min<std::size_t>(kBar, static_cast<std::size_t>(kBar * done_ / total_));
    line += "[" + std::string(full, '#') + std::string(kBar - full, ' ') + "] ";
  }
  line += right;
  if (!item_.empty()) line += "  " + item_;
  const auto width = terminal_width();
  if (line.size() >= width) line.resize(width - 1);
  fmt::print(stderr, "\r\033[K{}", line);
  fflush(stderr);
  drawn_ = true;
}

void ConsoleProgress::begin(const std::string& title, std::uint64_t total,
                            const std::string& unit) {
  const std::lock_guard lock(mutex_);
  title_ = title, unit_ = unit, item_.clear(), total_ = total, done_ = 0;
  begun_ = Clock::now();
  if (quiet_) return;
  if (is_terminal_) return draw();
  fmt::print(stderr, "{}{}\n", title_,
             total_ ? fmt::format(" ({}{})", amount(total_, unit_),
                                  unit_ == "bytes" || unit_.empty() ? "" : " " + unit_)
                    : "");
  fflush(stderr);
}

void ConsoleProgress::update(std::uint64_t done, const std::string& item) {
  if (quiet_ || !is_terminal_) return;
  const std::lock_guard lock(mutex_);
  done_ = done, item_ = item;
  if (Clock::now() - last_drawn_ >= kRedrawEvery) draw();
}

void ConsoleProgress::end() {
  if (quiet_ || !is_terminal_) return;
  const std::lock_guard lock(mutex_);
  erase();
  fmt::print(stderr, "{} {:.1f}s\n", title_,
             std::chrono::duration<double>(Clock::now() - begun_).count());
}

void ConsoleProgress::message(const std::string& line) {
  const std::lock_guard lock(mutex_);
  erase();
  fmt::print(stderr, "{}\n", line);
  fflush(stderr);
}

}  // namespace atomichost::compose
