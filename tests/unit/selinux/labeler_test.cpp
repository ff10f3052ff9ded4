// SPDX-License-Identifier: LGPL-2.1-or-later
#include "selinux/labeler.hpp"

#include <selinux/label.h>
#include <selinux/selinux.h>
#include <sys/stat.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <vector>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/parallel.hpp"

using namespace atomichost;
using selinux::Labeler;

namespace {

// Rules that overlap, override, alternate and escape; the shapes are those of real policies.
constexpr const char* kContexts = R"(# a comment
/.*	u:r:default_t
/[^/]+	--	u:r:etc_runtime_t
/a?quota\.(user|group)	--	u:r:quota_db_t
/usr(/.*)?	u:r:usr_t
/usr/.*	u:r:usr_any_t
/usr/(.*/)?bin(/.*)?	u:r:bin_t
/usr/(.*/)?lib(64)?(/.*)?	u:r:lib_t
/usr/(local/)?.*\.so(\.[^/]*)*	--	u:r:so_t
/usr/bin/foo?	--	u:r:foo_t
/usr/bin/fo{2}bar	--	u:r:foobar_t
/usr/bin/(su|sudo)	--	u:r:su_exec_t
/usr/bin/passwd	--	u:r:passwd_exec_t
/usr/bin/link	-l	u:r:link_t
   /usr/lib/a\.b   -d   u:r:dotted_t
/usr/lib/a.b	-d	u:r:any_t
/usr/sbin/x|/usr/sbin/y	u:r:alternative_t
/usr/share/x\d+	u:r:digits_t
/etc/.*	u:r:etc_t
/etc/shadow.*	--	u:r:shadow_t
/etc/shadow	--	u:r:old_shadow_t
/run/.*	<<none>>
/var(/.*)?	u:r:var_t
/var/log(/.*)?	u:r:log_t
/var/log/wtmp.*	--	u:r:wtmp_t
/	-d	u:r:root_t
/dev/[0-9].*	-c	u:r:usb_t
/dev/null	-c	u:r:null_t
/dev/pipe	-p	u:r:pipe_t
/dev/log	-s	u:r:devlog_t
/dev/sd[^/]*	-b	u:r:disk_t
/usr/share/[[:alpha:]]+\.x	u:r:class_t
)";
constexpr const char* kHomes =
    "/home/[^/]+(/.*)?\tu:r:home_t\n/home/[^/]+/\\.ssh(/.*)?\tu:r:ssh_home_t\n/root(/"
    ".*)?\tu:r:admin_home_t\n";
constexpr const char* kLocal =
    "/usr/bin/passwd\t--\tu:r:local_passwd_t\n/srv/www(/.*)?\tu:r:www_t\n";
constexpr const char* kSubs = "/data /var\n/data/web /srv/www\n/slash /\n";
constexpr const char* kDistSubs =
    "/bin /usr/bin\n/usr/etc /etc\n/var/home /home\n/var/roothome /root\n";

struct Policy {
  TempDir dir;
  explicit Policy(const std::string& contexts = kContexts) {
    replace_file(dir.path() / "file_contexts", contexts);
    replace_file(dir.path() / "file_contexts.homedirs", kHomes);
    replace_file(dir.path() / "file_contexts.local", kLocal);
    replace_file(dir.path() / "file_contexts.subs", kSubs);
    replace_file(dir.path() / "file_contexts.subs_dist", kDistSubs);
  }
};

}  // namespace

TEST_CASE("labels are those of libselinux", "[selinux]") {
  Policy policy;
  const auto labeler = Labeler::open(policy.dir.path());
  const std::string file = policy.dir.path() / "file_contexts";
  const selinux_opt options[] = {{SELABEL_OPT_PATH, file.c_str()}};
  selabel_handle* reference = selabel_open(SELABEL_CTX_FILE, options, 1);
  REQUIRE(reference);
  const std::vector<std::string> paths{"/",
                                       "/usr",
                                       "/usr/",
                                       "//usr//bin/",
                                       "/usr/bin",
                                       "/usr/bin/bash",
                                       "/usr/bin/fo",
                                       "/usr/bin/foo",
                                       "/usr/bin/foobar",
                                       "/usr/bin/fobar",
                                       "/usr/bin/su",
                                       "/usr/bin/sudo",
                                       "/usr/bin/sudoedit",
                                       "/usr/bin/passwd",
                                       "/bin/passwd",
                                       "/bin",
                                       "/binary",
                                       "/usr/bin/link",
                                       "/usr/lib",
                                       "/usr/lib/a.b",
                                       "/usr/lib/aXb",
                                       "/usr/lib64/libc.so.6",
                                       "/usr/local/bin/x",
                                       "/usr/local/lib/x.so",
                                       "/usr/sbin/x",
                                       "/usr/sbin/y",
                                       "/usr/sbin/xz",
                                       "/usr/sbin/zy",
                                       "/usr/sbin/usr/sbin/y",
                                       "/usr/share/x12",
                                       "/usr/share/xd",
                                       "/usr/share/abc.x",
                                       "/usr/share/ab1.x",
                                       "/etc",
                                       "/etc/x",
                                       "/etc/shadow",
                                       "/etc/shadow-",
                                       "/usr/etc/shadow",
                                       "/usr/etc",
                                       "/usr/etcetera",
                                       "/run/x",
                                       "/run",
                                       "/var",
                                       "/var/log",
                                       "/var/log/wtmp",
                                       "/var/log/wtmp.1",
                                       "/variable",
                                       "/home/joe",
                                       "/home",
                                       "/home/joe/.ssh/id",
                                       "/var/home/joe/.ssh",
                                       "/root/.bashrc",
                                       "/var/roothome/x",
                                       "/srv/www/i",
                                       "/data",
                                       "/data/log/wtmp",
                                       "/data/web/i",
                                       "/database",
                                       "/slash",
                                       "/slash/etc/shadow",
                                       "/dev/1x",
                                       "/dev/null",
                                       "/dev/pipe",
                                       "/dev/log",
                                       "/dev/sda",
                                       "/aquota.user",
                                       "/quota.group",
                                       "/aquotaXuser",
                                       "/single",
                                       "/unknown/deep/path",
                                       "/usr/x\ny",
                                       "/usr/caf\xc3\xa9"};
  for (const std::string& path : paths) {
    for (const mode_t mode :
         {mode_t{0}, mode_t{S_IFREG | 0644}, mode_t{S_IFDIR | 0755}, mode_t{S_IFLNK | 0777},
          mode_t{S_IFCHR}, mode_t{S_IFBLK}, mode_t{S_IFIFO}, mode_t{S_IFSOCK}}) {
      INFO(path << " of type " << (mode & S_IFMT));
      char* expected = nullptr;
      const bool found =
          !selabel_lookup_raw(reference, &expected, path.c_str(), static_cast<int>(mode));
      CHECK(labeler.label(path, mode) == (found ? expected : ""));
      freecon(expected);
    }
  }
  selabel_close(reference);
}

TEST_CASE("paths are labelled as what they are on the running host", "[selinux]") {
  Policy policy;
  const auto labeler = Labeler::open(policy.dir.path());
  CHECK(labeler.label("/usr/etc/shadow-", S_IFREG) == "u:r:shadow_t");
  CHECK(labeler.label("/var/home/joe", S_IFDIR) == "u:r:home_t");
  CHECK(labeler.label("/run/anything", S_IFREG) == "");
}

TEST_CASE("a compiled file beside the texts has no say", "[selinux]") {
  Policy policy;
  const std::string before = Labeler::open(policy.dir.path()).id();
  replace_file(policy.dir.path() / "file_contexts.bin", "older than the text");
  const auto labeler = Labeler::open(policy.dir.path());
  CHECK(labeler.id() == before);
  CHECK(labeler.label("/etc/x", S_IFREG) == "u:r:etc_t");
}

TEST_CASE("the identity of a policy changes with any of its files", "[selinux]") {
  Policy policy;
  const std::string before = Labeler::open(policy.dir.path()).id();
  CHECK(Labeler::open(Policy().dir.path()).id() == before);
  for (const char* name : {"file_contexts", "file_contexts.subs", "file_contexts.subs_dist",
                           "file_contexts.homedirs", "file_contexts.local"}) {
    Policy other;
    replace_file(other.dir.path() / name, read_file(other.dir.path() / name) + "/new /newer\n");
    CHECK(Labeler::open(other.dir.path()).id() != before);
  }
}

TEST_CASE("many threads get the same labels", "[selinux]") {
  Policy policy;
  const auto labeler = Labeler::open(policy.dir.path());
  std::atomic<int> wrong{0};
  parallel_for(8, 4000, [&](std::size_t, std::size_t i) {
    const std::string number = std::to_string(i % 50);
    if (labeler.label("/usr/share/x" + number, S_IFREG) != "u:r:digits_t") ++wrong;
    if (labeler.label("/var/log/wtmp" + number, S_IFREG) != "u:r:wtmp_t") ++wrong;
  });
  CHECK(wrong == 0);
}

TEST_CASE("a broken policy is named with file and line", "[selinux]") {
  TempDir none;
  try {
    (void)Labeler::open(none.path());
    FAIL("opened");
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::NotFound);
    CHECK_THAT(e.what(), Catch::Contains(none.path().string()));
  }
  CHECK_THROWS_WITH(Labeler::open(Policy("/a\tu:r:t\n\n/b\n").dir.path()),
                    Catch::Contains("file_contexts:3"));
  CHECK_THROWS_WITH(Labeler::open(Policy("/a\t-x\tu:r:t\n").dir.path()),
                    Catch::Contains("file_contexts:1"));
  const auto bad = Labeler::open(Policy("/a\tu:r:t\n/b/(.*\tu:r:t\n").dir.path());
  CHECK(bad.label("/a", S_IFREG) == "u:r:t");
  CHECK_THROWS_WITH(bad.label("/b/c", S_IFREG), Catch::Contains("file_contexts:2"));
}
