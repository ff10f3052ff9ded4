// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <cstdio>
#include <string>

namespace atomichost::client {

/// What the output can show. Colours and bars are for terminals only.
class Terminal {
 public:
  Terminal();
  [[nodiscard]] bool is_interactive() const noexcept { return is_interactive_; }
  [[nodiscard]] std::string bold(const std::string& text) const { return in("\033[1m", text); }
  [[nodiscard]] std::string red(const std::string& text) const { return in("\033[31m", text); }
  [[nodiscard]] std::string green(const std::string& text) const { return in("\033[32m", text); }
  [[nodiscard]] std::string yellow(const std::string& text) const { return in("\033[33m", text); }
  /// The mark of the booted deployment: a bullet where the character set has one.
  [[nodiscard]] const char* bullet() const noexcept { return has_bullet_ ? "●" : "*"; }
  [[nodiscard]] unsigned columns() const;

 private:
  [[nodiscard]] std::string in(const char* colour, const std::string& text) const {
    return has_colour_ ? colour + text + "\033[0m" : text;
  }
  bool is_interactive_, has_colour_, has_bullet_;
};

/// One line that is drawn over itself on a terminal; elsewhere only its final text is printed.
class StatusLine {
 public:
  explicit StatusLine(const Terminal& terminal) : terminal_(terminal) {}
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;
  ~StatusLine() { finish(); }
  /// Show @p text; on other outputs just remember it.
  void update(const std::string& text);
  /// Keep the line as it is now and go on below it.
  void finish();

 private:
  const Terminal& terminal_;
  std::string text_;
};

/// "[=====>     ]" for @p done of @p total.
[[nodiscard]] std::string bar(std::uint64_t done, std::uint64_t total, unsigned width);

}  // namespace atomichost::client
