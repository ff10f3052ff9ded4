// SPDX-License-Identifier: LGPL-2.1-or-later
#include "api/names.hpp"

#include <catch2/catch.hpp>
#include <set>

using namespace atomichost;

TEST_CASE("every error code has a bus name of its own, and the name gives the code", "[api]") {
  std::set<std::string> names;
  for (int i = 0; i <= static_cast<int>(ErrorCode::Unreachable); ++i) {
    const auto code = static_cast<ErrorCode>(i);
    const std::string name = api::error_name(code);
    CHECK(name.starts_with("org.projectatomic.rpmostreed.Error."));
    CHECK(names.insert(name).second);
    CHECK(api::error_code(name) == code);
  }
  CHECK(api::error_code("org.freedesktop.DBus.Error.Failed") == ErrorCode::Failed);
}

TEST_CASE("a stateroot's name becomes a valid path element", "[api]") {
  CHECK(api::path_element("fedora-coreos") == "fedora_coreos");
  CHECK(api::path_element("a/b") == "a_b");
  CHECK(api::path_element("os.1 \xc3\xa9") == "os_2E1_20_C3_A9");
}
