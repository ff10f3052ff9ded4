// SPDX-License-Identifier: LGPL-2.1-or-later
#include "keys/keys.hpp"

#include <catch2/catch.hpp>

#include "base/file.hpp"
#include "base/strings.hpp"
#include "support/small_repo.hpp"

using namespace atomichost;
using namespace atomichost::keys;
using Catch::Contains;

namespace {

KeyFile key(const std::string& name) {
  const auto path = test::small_repo_key(name);
  return {path, read_file(path)};
}

std::string signature_by(const std::string& name, const std::string& content) {
  TempDir dir;
  replace_file(dir.path() / "x", content);
  test::sign_file(name, dir.path() / "x");
  return read_file(dir.path() / "x.asc");
}

ErrorCode code_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.code();
  }
  return ErrorCode::Failed;
}

}  // namespace

TEST_CASE("the keys in a file are listed with their owner and expiry", "[keys]") {
  const auto keys = list_keys(key("one"));
  REQUIRE(keys.size() == 1);
  CHECK(keys[0].fingerprint.size() == 40);
  CHECK(keys[0].uids == std::vector<std::string>{"Test one <one@example.com>"});
  CHECK_FALSE(keys[0].expires_s);
  CHECK_FALSE(keys[0].is_expired);
  const auto expired = list_keys(key("expired"));
  REQUIRE(expired.size() == 1);
  CHECK(expired[0].is_expired);
  CHECK(expired[0].expires_s.value() < 1600000000);
  CHECK(list_keys(key("revoked")).at(0).is_revoked);
}

TEST_CASE("several keys in one file are all read", "[keys]") {
  const KeyFile both{"both.asc", key("one").data + key("two").data};
  CHECK(list_keys(both).size() == 2);
}

TEST_CASE("a file without a key is refused by name", "[keys]") {
  CHECK_THROWS_WITH(list_keys({"/etc/nokey", "hello"}), Contains("/etc/nokey: Holds no OpenPGP"));
  CHECK_THROWS_WITH(list_keys({"/etc/empty", ""}), Contains("/etc/empty"));
  CHECK(code_of([] { (void)list_keys({"x", "hello"}); }) == ErrorCode::InvalidInput);
}

TEST_CASE("a detached signature is good only for its content and the given keys", "[keys]") {
  const auto signature = signature_by("one", "content");
  const auto made = verify_detached("content", signature, {key("two"), key("one")}, "x");
  CHECK(made.uid == "Test one <one@example.com>");
  CHECK(made.fingerprint == list_keys(key("one"))[0].fingerprint);

  const auto verify = [&](const std::string& data, const std::vector<KeyFile>& allowed) {
    return [=] { verify_detached(data, signature, allowed, "thing"); };
  };
  CHECK_THROWS_WITH(verify("Content", {key("one")})(), Contains("changed after it was signed"));
  CHECK_THROWS_WITH(verify("content", {key("two")})(),
                    Contains(made.fingerprint) && Contains("not among the configured"));
  CHECK_THROWS_WITH(verify("content", {})(), Contains("thing: No key is configured"));
  CHECK(code_of(verify("content", {key("two")})) == ErrorCode::Untrusted);
  CHECK(code_of(verify("Content", {key("one")})) == ErrorCode::Untrusted);
  CHECK(code_of(verify("content", {})) == ErrorCode::Untrusted);
}

TEST_CASE("text that is no signature is not trusted", "[keys]") {
  for (const char* text : {"", "garbage", "-----BEGIN PGP SIGNATURE-----\n"})
    CHECK(code_of([&] { verify_detached("x", text, {key("one")}, "x"); }) == ErrorCode::Untrusted);
}

TEST_CASE("expired and revoked keys do not count", "[keys]") {
  CHECK_THROWS_WITH(verify_detached("x", signature_by("expired", "x"), {key("expired")}, "thing"),
                    Contains("expired@example.com") && Contains("has expired"));
  CHECK_THROWS_WITH(verify_detached("x", signature_by("revoked", "x"), {key("revoked")}, "thing"),
                    Contains("revoked@example.com") && Contains("is revoked"));
}
