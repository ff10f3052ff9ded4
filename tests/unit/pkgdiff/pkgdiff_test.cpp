// SPDX-License-Identifier: LGPL-2.1-or-later
#include "pkgdiff/pkgdiff.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

using namespace atomichost::pkgdiff;

namespace {

/// Versions here are single numbers, "9" or "10".
int by_number(const std::string& a, const std::string& b) {
  return std::stoi(a) - std::stoi(b);
}

std::string text(const Diff& diff) {
  std::string out;
  const auto one = [](const Package& p) { return p.name + "-" + p.evr + "." + p.arch; };
  for (const auto& p : diff.added) out += "+" + one(p) + " ";
  for (const auto& p : diff.removed) out += "-" + one(p) + " ";
  for (const auto& c : diff.upgraded) out += "^" + one(c.before) + ">" + one(c.after) + " ";
  for (const auto& c : diff.downgraded) out += "v" + one(c.before) + ">" + one(c.after) + " ";
  return out;
}

std::string diff(std::vector<Package> before, std::vector<Package> after) {
  const std::string out = text(compare(before, after, by_number));
  std::reverse(before.begin(), before.end());
  std::reverse(after.begin(), after.end());
  CHECK(text(compare(before, after, by_number)) == out);  // order given does not matter
  return out;
}

}  // namespace

TEST_CASE("added, removed, upgraded and downgraded packages are told apart", "[pkgdiff]") {
  CHECK(
      diff({{"a", "1", "x86_64"}, {"b", "9", "x86_64"}, {"c", "5", "noarch"}, {"d", "1", "x86_64"}},
           {{"b", "10", "x86_64"},
            {"c", "4", "noarch"},
            {"d", "1", "x86_64"},
            {"e", "1", "x86_64"}}) ==
      "+e-1.x86_64 -a-1.x86_64 ^b-9.x86_64>b-10.x86_64 vc-5.noarch>c-4.noarch ");
  CHECK(diff({}, {}).empty());
  CHECK(compare({{"a", "1", "x"}}, {{"a", "1", "x"}}, by_number).empty());
}

TEST_CASE("several versions of one package are paired newest with newest", "[pkgdiff]") {
  const auto kernel = [](const char* evr) { return Package{"kernel", evr, "x86_64"}; };
  CHECK(diff({kernel("5"), kernel("6")}, {kernel("6"), kernel("7")}) ==
        "^kernel-5.x86_64>kernel-7.x86_64 ");
  CHECK(diff({kernel("5")}, {kernel("5"), kernel("6")}) == "+kernel-6.x86_64 ");
  CHECK(diff({kernel("5"), kernel("6")}, {kernel("6")}) == "-kernel-5.x86_64 ");
  CHECK(diff({kernel("5")}, {kernel("6"), kernel("7")}) ==
        "+kernel-6.x86_64 ^kernel-5.x86_64>kernel-7.x86_64 ");
}

TEST_CASE("architectures of one package are compared apart", "[pkgdiff]") {
  CHECK(diff({{"glibc", "1", "i686"}, {"glibc", "1", "x86_64"}},
             {{"glibc", "2", "i686"}, {"glibc", "2", "x86_64"}}) ==
        "^glibc-1.i686>glibc-2.i686 ^glibc-1.x86_64>glibc-2.x86_64 ");
  CHECK(compare({{"glibc", "1", "i686"}, {"glibc", "1", "x86_64"}}, {{"glibc", "2", "x86_64"}},
                by_number)
            .removed == std::vector<Package>{{"glibc", "1", "i686"}});
  CHECK(diff({{"a", "1", "i686"}}, {{"a", "2", "x86_64"}}) == "+a-2.x86_64 -a-1.i686 ");
}

TEST_CASE("a move to or from noarch is a change of one package", "[pkgdiff]") {
  CHECK(diff({{"a", "1", "noarch"}}, {{"a", "2", "x86_64"}}) == "^a-1.noarch>a-2.x86_64 ");
  CHECK(diff({{"a", "2", "x86_64"}}, {{"a", "1", "noarch"}}) == "va-2.x86_64>a-1.noarch ");
  CHECK(diff({{"a", "1", "x86_64"}}, {{"a", "1", "noarch"}}) == "^a-1.x86_64>a-1.noarch ");
  CHECK(diff({{"a", "1", "noarch"}}, {{"a", "2", "x86_64"}, {"a", "2", "i686"}}) ==
        "+a-2.i686 +a-2.x86_64 -a-1.noarch ");
}

TEST_CASE("the changelog of an upgrade stops at what was known", "[pkgdiff]") {
  using List = std::vector<std::string>;
  CHECK(new_entries(List{"2", "1"}, List{"4", "3", "2", "1"}) == List{"4", "3"});
  CHECK(new_entries(List{"2", "1"}, List{"2", "1"}).empty());
  CHECK(new_entries(List{}, List{"2", "1"}) == List{"2", "1"});
  CHECK(new_entries(List{"x"}, List{"2", "1"}) == List{"2", "1"});
  CHECK(new_entries(List{"1"}, List{}).empty());
}
