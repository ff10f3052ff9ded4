// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sysroot/sysroot.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>

#include "base/file.hpp"
#include "sysroot/etc.hpp"
#include "sysroot/operations.hpp"

using namespace atomichost;
using namespace atomichost::sysroot;

namespace {

GPtr<GKeyFile> key_file(const std::string& text) {
  auto file = adopt(g_key_file_new());
  g_key_file_load_from_data(file.get(), text.c_str(), text.size(), G_KEY_FILE_NONE, nullptr);
  return file;
}

Deployment deployment(const std::string& stateroot, bool is_booted = false) {
  Deployment d;
  d.stateroot = stateroot;
  d.is_booted = is_booted;
  return d;
}

}  // namespace

TEST_CASE("an origin is divided at the last colon", "[sysroot]") {
  const auto origin = origin_for("remote:os/x86_64/stable");
  CHECK(origin.remote() == "remote");
  CHECK(origin.branch() == "os/x86_64/stable");
  CHECK(origin_for("os/stable").remote().empty());
  CHECK(origin_for(std::string(64, 'a')).is_checksum());
  CHECK_THROWS_WITH(origin_for("a b:c"), Catch::Contains("no refspec"));
  CHECK_THROWS_WITH(origin_for(""), Catch::Contains("no refspec"));
}

TEST_CASE("an origin keeps what it does not know and drops what is not inherited", "[sysroot]") {
  const auto before = key_file(
      "[origin]\nbaserefspec=r:b\noverride-commit=abc\n[packages]\nrequested=x\n"
      "[libostree-transient]\npinned=true\n");
  auto origin = origin_from(before.get());
  CHECK(origin.refspec == "r:b");
  CHECK(origin.override_commit == "abc");
  origin.refspec = "r:c";
  origin.override_commit.clear();
  const auto after = origin_to(origin, before.get());
  CHECK(origin_from(after.get()) == origin);
  CHECK(g_key_file_has_group(after.get(), "packages"));
  CHECK_FALSE(g_key_file_has_group(after.get(), "libostree-transient"));
  CHECK_FALSE(g_key_file_has_key(after.get(), "origin", "baserefspec", nullptr));
}

TEST_CASE("pending and rollback are what stands before and after the booted one", "[sysroot]") {
  const std::vector<Deployment> all{deployment("a"), deployment("b"), deployment("a", true),
                                    deployment("a")};
  const auto a = roles_of(all, "a");
  CHECK(a.pending == 0U);
  CHECK(a.booted == 2U);
  CHECK(a.rollback == 3U);
  CHECK(a.newest == 0U);
  const auto b = roles_of(all, "b");
  CHECK_FALSE(b.booted);
  CHECK(b.newest == 1U);
  const auto none = roles_of(all, "c");
  CHECK_FALSE(none.newest);
  const auto offline = roles_of({deployment("a"), deployment("a")}, "a");
  CHECK(offline.newest == 0U);
  CHECK(offline.rollback == 1U);
}

TEST_CASE("kernel arguments are edited in order: remove, replace, append", "[sysroot]") {
  KernelArgumentsRequest request;
  request.remove = {"quiet"};
  request.replace = {"root=b"};
  request.append = {"x=1", "x=2"};
  CHECK(edit_kernel_arguments(request, "root=a quiet rw") == "root=b rw x=1 x=2");
  request = {};
  request.append_if_missing = {"rw", "new"};
  request.delete_if_present = {"quiet", "none"};
  CHECK(edit_kernel_arguments(request, "quiet rw") == "rw new");
  request = {};
  request.final_arguments = "  a   b=c ";
  CHECK(edit_kernel_arguments(request, "quiet") == "a b=c");
}

TEST_CASE("a kernel argument that would break its line is refused", "[sysroot]") {
  for (const char* bad : {"a\nb", "a b", "", "a\r", "a\x7f", "\t"}) {
    KernelArgumentsRequest request;
    request.append = {bad};
    CHECK_THROWS_AS(edit_kernel_arguments(request, "quiet"), Error);
  }
  KernelArgumentsRequest request;
  request.final_arguments = "a\nlinux /evil";
  CHECK_THROWS_AS(edit_kernel_arguments(request, "quiet"), Error);
}

TEST_CASE("changes of /etc are seen by content, mode and type", "[sysroot]") {
  const TempDir dir;
  const auto defaults = dir.path() / "usr/etc", etc = dir.path() / "etc";
  for (const auto& top : {defaults, etc}) {
    make_directories(top / "dir");
    replace_file(top / "same", "x");
    replace_file(top / "content", "x");
    replace_file(top / "mode", "x");
    replace_file(top / "gone", "x");
    replace_file(top / "type", "x");
    std::filesystem::create_symlink("a", top / "link");
  }
  replace_file(etc / "content", "y");
  chmod((etc / "mode").c_str(), 0600);
  remove_tree(etc / "gone");
  remove_tree(etc / "type");
  make_directories(etc / "type");
  remove_tree(etc / "link");
  std::filesystem::create_symlink("b", etc / "link");
  replace_file(etc / "dir/new\xff", "not UTF-8");
  const auto changes = etc_changes(dir.path());
  CHECK(changes.modified == std::vector<std::string>{"content", "link", "mode", "type"});
  CHECK(changes.removed == std::vector<std::string>{"gone"});
  CHECK(changes.added == std::vector<std::string>{"dir/new\xff"});
  CHECK(etc_changes(dir.path() / "nowhere").added.empty());
}

TEST_CASE("a folder without repository is no sysroot, and says so", "[sysroot]") {
  const TempDir dir;
  CHECK_THROWS_WITH(Sysroot::open(dir.path()), Catch::Contains("ostree admin init-fs"));
}
