// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpm/nevra.hpp"

#include <catch2/catch.hpp>

#include "base/error.hpp"

using namespace atomichost;
using rpm::compare_evr;
using rpm::Nevra;

TEST_CASE("a NEVRA is printed without epoch 0 and parsed back", "[rpm][nevra]") {
  const Nevra bash{"bash", "0", "5.2.15", "2+b7", "x86_64"};
  CHECK(bash.str() == "bash-5.2.15-2+b7.x86_64");
  CHECK(Nevra::parse(bash.str()) == bash);
  const Nevra with_epoch{"lvm2-libs", "2", "2.03", "1.fc40", "noarch"};
  CHECK(with_epoch.str() == "lvm2-libs-2:2.03-1.fc40.noarch");
  CHECK(with_epoch.evr() == "2:2.03-1.fc40");
  CHECK(Nevra::parse(with_epoch.str()) == with_epoch);
  CHECK(Nevra::parse("2:lvm2-libs-2.03-1.fc40.noarch") == with_epoch);
  CHECK(Nevra::parse("a-0:1-1.x86_64").epoch == "0");
}

TEST_CASE("text that is no NEVRA is refused with the missing part", "[rpm][nevra]") {
  CHECK_THROWS_WITH(Nevra::parse("bash"),
                    Catch::Contains("\"bash\"") && Catch::Contains("release"));
  CHECK_THROWS_WITH(Nevra::parse("bash-5.x86_64"), Catch::Contains("version is missing"));
  CHECK_THROWS_WITH(Nevra::parse("bash-5-1"), Catch::Contains("architecture is missing"));
  CHECK_THROWS_WITH(Nevra::parse("bash-x:5-1.noarch"), Catch::Contains("epoch"));
  for (const char* text :
       {"", "-", ".", "--.", "-1-1.noarch", "a--1.noarch", "a-1-.noarch", "a-1-1."})
    CHECK_THROWS_AS(Nevra::parse(text), Error);
}

TEST_CASE("versions compare as RPM compares them", "[rpm][nevra]") {
  const auto nevra = [](const char* e, const char* v, const char* r) {
    return Nevra{"a", e, v, r, "noarch"};
  };
  CHECK(compare_evr(nevra("0", "1.10", "1"), nevra("0", "1.9", "1")) > 0);
  CHECK(compare_evr(nevra("1", "1", "1"), nevra("0", "2", "1")) > 0);
  CHECK(compare_evr(nevra("0", "1", "2"), nevra("0", "1", "10")) < 0);
  CHECK(compare_evr(nevra("0", "1~rc1", "1"), nevra("0", "1", "1")) < 0);
  CHECK(compare_evr(nevra("0", "1^git1", "1"), nevra("0", "1", "1")) > 0);
  CHECK(compare_evr(nevra("0", "1", "1"), nevra("", "1", "1")) == 0);
  CHECK(compare_evr("1:1.0-1", "2.0-1") > 0);
  CHECK(compare_evr("0:1.0-1", "1.0-1") == 0);
  CHECK(compare_evr("1.0", "1.0-5") == 0);
  CHECK(compare_evr("1.0-5", "1.1") < 0);
  CHECK(compare_evr("", "1") < 0);
}
