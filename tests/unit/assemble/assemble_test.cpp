// SPDX-License-Identifier: LGPL-2.1-or-later
#include <catch2/catch.hpp>

#include "assemble/accounts.hpp"
#include "assemble/files.hpp"
#include "assemble/plan.hpp"
#include "assemble/postprocess.hpp"
#include "assemble/runner.hpp"
#include "assemble/var.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "ostree/repo.hpp"

using namespace atomichost;
using assemble::Files;

namespace {

// A tree whose contents live in a real repository.
struct World {
  World() {
    (void)ostree::Repo::create(dir.path() / "repo", "bare-user");
    store = ostree::ObjectStore::open(dir.path() / "repo");
    files.emplace(tree, *store, nullptr);
  }
  tree::Node& package_file(const std::string& path, const std::string& content = "x") {
    auto& node = files->write(path, content);
    node.package = 0;
    return node;
  }
  [[nodiscard]] bool has(const std::string& path) const { return tree.find(path) != nullptr; }
  TempDir dir;
  tree::Tree tree;
  std::unique_ptr<ostree::ObjectStore> store;
  std::optional<Files> files;
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("files are written, read through links and overwritten keeping their owner",
          "[assemble]") {
  World w;
  w.files->write("usr/lib/os-release", "one").chown(3, 4);
  w.files->symlink("etc/os-release", "../usr/lib/os-release");
  CHECK(w.files->read("etc/os-release").value() == "one");
  w.files->write("usr/lib/os-release", "two");
  CHECK(w.files->read("/etc/os-release").value() == "two");
  CHECK(w.tree.find("usr/lib/os-release")->meta->uid == 3);
  CHECK_FALSE(w.files->read("etc/none"));
}

TEST_CASE("/var becomes tmpfiles.d lines and factory copies; nothing is silently dropped",
          "[assemble]") {
  World w;
  w.files->directory("var/lib/foo", 0750).chown(7, 8);
  w.files->symlink("var/mail", "spool/mail");
  w.package_file("var/lib/foo/data base");
  w.package_file("run/lost");
  w.files->directory("run/foo");
  w.files->directory("var/lib/known");
  w.files->write("usr/lib/tmpfiles.d/known.conf", "# x\nd /var/lib/known 0700 root root -\n");
  w.files->write("var/cache/ldconfig/aux-cache", "machine specific");
  assemble::Accounts accounts;
  accounts.users["daemon"] = 7;
  const auto lost = assemble::convert_var(*w.files, accounts);
  const auto conf = w.files->read(assemble::kAutovarConf).value();
  CHECK(contains(conf, "d /var/lib/foo 0750 daemon 8 - -\n"));
  CHECK(contains(conf, "L /var/mail - - - - spool/mail\n"));
  CHECK(contains(conf,
                 "C /var/lib/foo/data\\x20base 0644 root root - "
                 "/usr/share/factory/var/lib/foo/data\\x20base\n"));
  CHECK(contains(conf, "d /run/foo "));
  CHECK_FALSE(contains(conf, "/var/lib/known"));
  CHECK_FALSE(contains(conf, "ldconfig"));
  CHECK(w.has("usr/share/factory/var/lib/foo/data base"));
  CHECK(w.tree.find("var")->children.empty());
  CHECK(w.tree.find("run")->children.empty());
  REQUIRE(lost.size() == 1);
  CHECK(contains(lost[0], "/run/lost"));
}

TEST_CASE("tmpfiles.d paths survive quoting and escapes both ways", "[assemble]") {
  const std::string path = "/var/a b%c\\d\"e";
  CHECK(assemble::tmpfiles_paths("d " + assemble::tmpfiles_escape(path) + " 0755 root root -") ==
        std::vector<std::string>{path});
  CHECK(assemble::tmpfiles_paths(
            "d \"/var/x y\" 0755\n# d /no\nz /var/z\nL+ /var/link/ - - - - t\n") ==
        std::vector<std::string>{"/var/x y", "/var/link"});
}

TEST_CASE("the layout of a commit: /etc in /usr/etc, links into /var, nothing else at the top",
          "[assemble]") {
  World w;
  w.package_file("etc/passwd");
  w.package_file("opt/vendor/bin/tool");
  w.package_file("srv/www/index.html");
  w.package_file("usr/local/bin/mine");
  w.package_file("odd/file");
  w.files->directory("home/someone");
  const auto lost = assemble::finish_layout(*w.files, {.tmp_is_dir = true});
  CHECK(w.has("usr/etc/passwd"));
  CHECK_FALSE(w.has("etc"));
  CHECK(w.has("usr/lib/opt/vendor/bin/tool"));
  CHECK(w.tree.find("opt")->target == "var/opt");
  CHECK(w.tree.find("home")->target == "var/home");
  CHECK(w.tree.find("ostree")->target == "sysroot/ostree");
  CHECK(w.tree.find("usr/local")->target == "../var/usrlocal");
  CHECK((w.tree.find("tmp")->meta->mode & 07777) == 01777);
  CHECK(contains(w.files->read("usr/lib/tmpfiles.d/rpm-ostree-0-integration.conf").value(),
                 "L /var/opt/vendor - - - - ../../usr/lib/opt/vendor\n"));
  CHECK_FALSE(w.has("odd"));
  REQUIRE(lost.size() == 3);
  CHECK(contains(lost[0], "/usr/local/bin/mine"));
  CHECK(contains(lost[1], "/srv/www/index.html"));
  CHECK(contains(lost[2], "/odd/file"));
}

TEST_CASE("a tree with /etc and /usr/etc is refused", "[assemble]") {
  World w;
  w.package_file("etc/a");
  w.package_file("usr/etc/b");
  CHECK_THROWS_WITH(assemble::finish_layout(*w.files, {}), Catch::Contains("/usr/etc"));
}

TEST_CASE("os-release gets the version of the compose", "[assemble]") {
  World w;
  w.files->write(
      "usr/lib/os-release",
      "NAME=\"Debian\"\nVERSION=\"12 (bookworm)\"\nPRETTY_NAME='Debian 12'\nVERSION_ID=12\n");
  assemble::mutate_os_release(*w.files, "12", "12.3");
  CHECK(w.files->read("usr/lib/os-release").value() ==
        "NAME=\"Debian\"\nVERSION=\"12.3 (bookworm)\"\nPRETTY_NAME=\"Debian "
        "12.3\"\nVERSION_ID=12\nOSTREE_VERSION='12.3'\n");
  CHECK_THROWS_WITH(assemble::mutate_os_release(*w.files, "99", "1"), Catch::Contains("'99'"));
}

TEST_CASE("the default target must exist", "[assemble]") {
  World w;
  w.files->write("usr/lib/systemd/system/multi-user.target", "");
  assemble::set_default_target(*w.files, "multi-user.target");
  CHECK(w.tree.find("etc/systemd/system/default.target")->target ==
        "/usr/lib/systemd/system/multi-user.target");
  CHECK_THROWS_WITH(assemble::set_default_target(*w.files, "graphical.target"),
                    Catch::Contains("graphical.target"));
}

TEST_CASE("one kernel is found where it lies, several are refused", "[assemble]") {
  World w;
  w.files->directory("usr/lib/modules/6.1");
  CHECK(assemble::place_kernel(*w.files).version.empty());
  w.files->write("boot/vmlinuz-6.1", "kernel");
  CHECK(assemble::place_kernel(*w.files).version == "6.1");
  CHECK(w.files->read("usr/lib/modules/6.1/vmlinuz").value() == "kernel");
  CHECK_FALSE(w.has("boot/vmlinuz-6.1"));
  w.files->write("usr/lib/modules/6.2/vmlinuz", "other");
  CHECK_THROWS_WITH(assemble::place_kernel(*w.files), Catch::Contains("6.1, 6.2"));
}

TEST_CASE("the SELinux store moves into /etc and semanage knows", "[assemble]") {
  World w;
  w.files->write("etc/selinux/targeted/contexts/files/file_contexts",
                 "/.* system_u:object_r:default_t:s0\n");
  w.files->write("var/lib/selinux/targeted/active/modules/100/base/cil", "x");
  w.files->write("etc/selinux/semanage.conf",
                 "module-store = direct\nstore-root=/var/lib/selinux\n");
  assemble::move_selinux_store(*w.files);
  CHECK(w.has("etc/selinux/targeted/active/modules/100/base/cil"));
  CHECK(w.files->read("etc/selinux/semanage.conf").value() ==
        "module-store = direct\nstore-root=/etc/selinux\n");
}

TEST_CASE("substitutions are added once", "[assemble]") {
  const auto once = assemble::with_selinux_substitutions("/run /var/run\n/usr/etc /etc");
  CHECK(contains(once, "/var/home /home\n"));
  CHECK(once.find("/usr/etc /etc") == once.rfind("/usr/etc /etc"));
  CHECK(assemble::with_selinux_substitutions(once) == once);
}

TEST_CASE("removing and adding files", "[assemble]") {
  World w;
  w.package_file("usr/share/info/dir");
  CHECK(assemble::remove_files(*w.files, {"usr/share/info", "usr/none"}) ==
        std::vector<std::string>{"usr/none"});
  CHECK_FALSE(w.has("usr/share/info"));
  make_directories(w.dir.path() / "src/sub");
  replace_file(w.dir.path() / "src/sub/run", "#!/bin/sh\n", 0755);
  assemble::add_file(*w.files, w.dir.path() / "src", "/usr/share/x");
  CHECK(w.files->read("usr/share/x/sub/run").value() == "#!/bin/sh\n");
  CHECK((w.tree.find("usr/share/x/sub/run")->meta->mode & 0777) == 0755);
  CHECK_THROWS_AS(assemble::add_file(*w.files, w.dir.path() / "src", "/usr/../x"), Error);
}

TEST_CASE("owners are looked up by name, and unknown ones are named", "[assemble]") {
  World w;
  w.package_file("usr/bin/a").package = 5;
  assemble::Accounts accounts;
  accounts.add(
      {.users = users::parse_passwd("root:x:0:0:root:/root:/bin/sh\nman:x:6:12::/:\n", "passwd"),
       .groups = users::parse_group("man:x:12:\n", "group")});
  const std::vector<assemble::Owner> owners{{"usr/bin/a", 5, "man", "nobody"},
                                            {"usr/bin/gone", 5, "who", "who"}};
  CHECK(assemble::resolve_owners(w.tree, owners, accounts) ==
        std::vector<std::string>{"group nobody"});
  CHECK(w.tree.find("usr/bin/a")->meta->uid == 6);
}
