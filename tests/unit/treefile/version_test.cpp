// SPDX-License-Identifier: LGPL-2.1-or-later
#include "treefile/version.hpp"

#include <catch2/catch.hpp>

#include "base/error.hpp"

using atomichost::Error;
using atomichost::treefile::next_version;

namespace {
constexpr std::int64_t kNow = 1700000000;  // 2023-11-14 22:13:20 UTC
std::string next(const std::string& prefix, const std::string& last) {
  return next_version(prefix, '.', last, kNow);
}
void check(const std::string& prefix, const std::string& last, const std::string& expected) {
  INFO("after \"" << last << "\" with prefix \"" << prefix << '"');
  CHECK(next(prefix, last) == expected);
}
}  // namespace

TEST_CASE("versions without a date") {
  check("10", "", "10");
  check("10", "xyz", "10");
  check("10", "9.7", "10");
  check("10", "109", "10");
  check("10", "10", "10.1");
  check("10", "10.1", "10.2");
  check("10", "10.9", "10.10");
  check("10", "10.", "10");
  check("10", "10.a", "10");
  check("10", "10-1", "10");
  check("10", "10.1.5.2", "10.2");
  check("10.1", "10.1.5.2", "10.1.6");
  check("10.1.5", "10.1.5.2", "10.1.5.3");
  check("10.1.5.2", "10.1.5.2", "10.1.5.2.1");
  check("10.1.5.2", "10", "10.1.5.2");
  check("1", "10", "1");
  check("", "", ".1");
}

TEST_CASE("versions with a date") {
  check("10.<date:%Y%m%d>", "", "10.20231114.0");
  check("10.<date:%Y%m%d>", "10.20231114.0", "10.20231114.1");
  check("10.<date:%Y%m%d>", "10.20231114.9", "10.20231114.10");
  check("10.<date:%Y%m%d>", "10.20231113.4", "10.20231114.0");
  check("10.<date:%Y%m%d>", "10.20231114", "10.20231114.1");
  check("<date:%Y>.<date:%m>-x", "", "2023.11-x.0");
  check("<date:%b>", "", "Nov.0");
  check("a<date:%Y%m%d>.dev", "a20231114.dev.3", "a20231114.dev.4");
}

TEST_CASE("another suffix") {
  CHECK(next_version("10", '-', "10", kNow) == "10-1");
  CHECK(next_version("10", '-', "10-1", kNow) == "10-2");
  CHECK(next_version("10", '-', "10.1", kNow) == "10");
  CHECK(next_version("<date:%Y>", '-', "", kNow) == "2023-0");
}

TEST_CASE("versions that cannot be made") {
  CHECK_THROWS_AS(next("<date:%Y", ""), Error);
  CHECK_THROWS_AS(next("<date:>", ""), Error);
  CHECK_THROWS_AS(next("10", "10.18446744073709551615"), Error);
  CHECK_THROWS_AS(next("10", "10.99999999999999999999999"), Error);
  CHECK_THROWS_AS(next("<date:" + std::string(300, 'x') + ">", ""), Error);
}
