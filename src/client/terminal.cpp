// SPDX-License-Identifier: LGPL-2.1-or-later
#include "terminal.hpp"

#include <fmt/format.h>
#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace atomichost::client {

Terminal::Terminal()
    : is_interactive_(isatty(STDOUT_FILENO)),
      has_colour_(is_interactive_ && !getenv("NO_COLOR")),
      has_bullet_(std::string_view(nl_langinfo(CODESET)) == "UTF-8") {}

unsigned Terminal::columns() const {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_col < 20) return 80;
  return size.ws_col;
}

void StatusLine::update(const std::string& text) {
  text_ = text;
  if (!terminal_.is_interactive()) return;
  fmt::print("\r\033[K{}", text.substr(0, terminal_.columns() - 1));
  fflush(stdout);
}

void StatusLine::finish() {
  if (text_.empty()) return;
  if (terminal_.is_interactive())
    fmt::print("\n");
  else
    fmt::print("{}\n", text_);
  fflush(stdout);
  text_.clear();
}

std::string bar(std::uint64_t done, std::uint64_t total, unsigned width) {
  const std::uint64_t filled =
      total == 0 ? 0 : std::min<std::uint64_t>(done, total) * width / total;
  std::string text(filled, '=');
  if (filled < width) text += '>';
  text.resize(width, ' ');
  return "[" + text + "]";
}

}  // namespace atomichost::client
