// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/parallel.hpp"
#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "base/subprocess.hpp"

using namespace atomichost;

TEST_CASE("an error names its context outside-in and keeps its code", "[base]") {
  try {
    with_context("Composing x", [] { throw Error(ErrorCode::Busy, "in use"); });
    FAIL("nothing thrown");
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::Busy);
    CHECK(std::string(e.what()) == "Composing x: in use");
  }
}

TEST_CASE("a full disk, a missing file and a refused one are told apart", "[base]") {
  CHECK(errno_error(ENOSPC, "x").code() == ErrorCode::NoSpace);
  CHECK(errno_error(ENOENT, "x").code() == ErrorCode::NotFound);
  CHECK(errno_error(EROFS, "x").code() == ErrorCode::Denied);
}

TEST_CASE("mistyped words find their neighbours, swaps included", "[base]") {
  const std::vector<std::string> keys{"packages", "repos", "include", "units"};
  CHECK(nearest("pakcages", keys).at(0) == "packages");
  CHECK(did_you_mean("inclde", keys) == " (did you mean include?)");
  CHECK(did_you_mean("zzzzzzz", keys).empty());
}

TEST_CASE("sizes and words are printed for people", "[base]") {
  CHECK(human_bytes(999) == "999 B");
  CHECK(human_bytes(1500) == "1.5 kB");
  CHECK(human_bytes(31457280) == "31 MB");
  CHECK(shell_quote("a b'c") == "'a b'\\''c'");
  CHECK(shell_quote("plain-1.0") == "plain-1.0");
}

TEST_CASE("times are printed as RFC 3339, absurd ones without harm", "[base]") {
  CHECK(rfc3339(0) == "1970-01-01T00:00:00Z");
  CHECK(rfc3339(1795822754) == "2026-11-27T23:39:14Z");
  CHECK(rfc3339(INT64_MAX) == "in no known year");
}

TEST_CASE("SHA-256 of the empty text and of a file", "[base]") {
  CHECK(to_hex(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(digest_from_hex(to_hex(sha256("abc"))) == sha256("abc"));
  CHECK_THROWS_AS(digest_from_hex("abc"), Error);
}

TEST_CASE("replacing a file leaves no litter and sets its mode", "[base]") {
  TempDir dir;
  replace_file(dir.path() / "a", "one");
  replace_file(dir.path() / "a", "two", 0600);
  CHECK(read_file(dir.path() / "a") == "two");
  struct stat st;
  REQUIRE(!stat((dir.path() / "a").c_str(), &st));
  CHECK((st.st_mode & 07777) == 0600);
  CHECK(std::distance(std::filesystem::directory_iterator(dir.path()), {}) == 1);
}

TEST_CASE("a temporary directory goes away with all it holds and follows no link", "[base]") {
  TempDir outside;
  replace_file(outside.path() / "keep", "x");
  std::filesystem::path gone;
  {
    TempDir dir;
    gone = dir.path();
    make_directories(gone / "a/b");
    std::filesystem::create_symlink(outside.path(), gone / "a/link");
  }
  CHECK_FALSE(std::filesystem::exists(gone));
  CHECK(std::filesystem::exists(outside.path() / "keep"));
}

TEST_CASE("a held lock is refused by name", "[base]") {
  TempDir dir;
  FileLock first(dir.path() / "lock", "The cache", /*wait=*/false);
  CHECK_THROWS_WITH(FileLock(dir.path() / "lock", "The cache", false),
                    Catch::Contains("The cache is in use"));
}

TEST_CASE("all items are done once, and the first failure is the one thrown", "[base]") {
  std::vector<std::atomic<int>> done(100);
  parallel_for(4, done.size(), [&](std::size_t, std::size_t i) { ++done[i]; });
  for (auto& d : done) CHECK(d == 1);
  CHECK_THROWS_WITH(parallel_for(2, 10,
                                 [](std::size_t, std::size_t i) {
                                   if (i == 3) throw Error(ErrorCode::Failed, "three");
                                 }),
                    "three");
}

TEST_CASE("a command's output, input, status and environment arrive", "[base]") {
  const auto r =
      run_command({.argv = {"sh", "-c", "cat; echo $X >&2; exit 3"},
                   .env = std::map<std::string, std::string>{{"X", "y"}, {"PATH", "/usr/bin:/bin"}},
                   .input = "hello"});
  CHECK(r.exit_status == 3);
  CHECK(r.output == "hello");
  CHECK(r.error_output == "y\n");
  CHECK(run_command({.argv = {"no-such-program-here"}}).exit_status == 127);
}

TEST_CASE("a command that hangs is killed with its children", "[base]") {
  const auto r = run_command(
      {.argv = {"sh", "-c", "sleep 1000 & sleep 1000"}, .timeout = std::chrono::milliseconds(100)});
  CHECK(r.timed_out);
  CHECK_FALSE(r.ok());
}

TEST_CASE("a child left behind does not keep us waiting", "[base]") {
  const auto r = run_command({.argv = {"sh", "-c", "setsid sleep 5 & echo done"}});
  CHECK(r.output == "done\n");
}

TEST_CASE("only the asked-for descriptors reach a command", "[base]") {
  const UniqueFd leak(open("/dev/null", O_RDONLY));  // not close-on-exec
  const UniqueFd wanted(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  const auto r =
      run_command({.argv = {"sh", "-c", "ls /proc/self/fd | wc -l; readlink /proc/self/fd/5"},
                   .inherit_fds = {{5, wanted.get()}}});
  CHECK(r.output == "5\n/dev/zero\n");  // 0 1 2 5 and ls's own
}

TEST_CASE("JSON errors name the file", "[base]") {
  CHECK_THROWS_WITH(json_from_string("{", "a.json"), Catch::StartsWith("a.json: "));
}
