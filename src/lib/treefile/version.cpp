// SPDX-License-Identifier: LGPL-2.1-or-later
#include "treefile/version.hpp"

#include <locale.h>
#include <time.h>

#include <charconv>

#include "base/error.hpp"

namespace atomichost::treefile {

namespace {

constexpr std::string_view kTag = "<date:";

std::string format_date(const std::string& format, std::int64_t now_s) {
  const auto now = static_cast<time_t>(now_s);
  struct tm utc {};
  if (gmtime_r(&now, &utc) == nullptr)
    throw Error(ErrorCode::InvalidInput, "the time " + std::to_string(now_s) + " has no date");
  // The C locale: names of months in a version do not follow the builder's language.
  static const locale_t c_locale = newlocale(LC_ALL_MASK, "C", nullptr);
  char buffer[256];
  const std::size_t size = strftime_l(buffer, sizeof buffer, format.c_str(), &utc, c_locale);
  if (size == 0)
    throw Error(ErrorCode::InvalidInput, "the date tag \"" + std::string(kTag) + format +
                                             ">\" gives no text, or more than 255 bytes; write "
                                             "for example <date:%Y%m%d>");
  return {buffer, size};
}

}  // namespace

std::string next_version(const std::string& prefix, char suffix, const std::string& last_version,
                         std::int64_t now_s) {
  std::string current;
  bool has_date = false;
  std::size_t at = 0;
  while (true) {
    const std::size_t begin = prefix.find(kTag, at);
    if (begin == std::string::npos) break;
    const std::size_t end = prefix.find('>', begin);
    if (end == std::string::npos)
      throw Error(ErrorCode::InvalidInput,
                  "\"" + std::string(kTag) + "\" without \">\" in \"" + prefix + "\"");
    current.append(prefix, at, begin - at);
    current += format_date(prefix.substr(begin + kTag.size(), end - begin - kTag.size()), now_s);
    has_date = true;
    at = end + 1;
  }
  current.append(prefix, at);

  if (last_version == current) return current + suffix + "1";
  const std::string counted = current + suffix;
  const std::string fresh = has_date ? counted + "0" : current;
  if (!last_version.starts_with(counted)) return fresh;
  // Only the leading digits count: 10.1.5.2 continues 10 with 10.2.
  std::uint64_t number = 0;
  const char* first = last_version.data() + counted.size();
  auto [end, ec] = std::from_chars(first, last_version.data() + last_version.size(), number);
  if (ec == std::errc::invalid_argument) return fresh;
  if (ec != std::errc() || number == UINT64_MAX)
    throw Error(ErrorCode::InvalidInput, "the number in the last version \"" + last_version +
                                             "\" is too large to count on; change the prefix");
  return counted + std::to_string(number + 1);
}

}  // namespace atomichost::treefile
