// SPDX-License-Identifier: LGPL-2.1-or-later
#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "users/accounts.hpp"
#include "users/rules.hpp"
#include "users/sysusers.hpp"

using namespace atomichost;
using namespace atomichost::users;
using Catch::Contains;

namespace {

constexpr const char* kPasswd =
    "root:x:0:0:root:/root:/bin/bash\n"
    "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
    "sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\n";
constexpr const char* kGroup =
    "root:x:0:\n"
    "daemon:x:1:\n"
    "wheel:x:10:alice,bob\n"
    "nogroup:x:65534:\n";
constexpr const char* kShadow = "root:*:19500:0:99999:7:::\ndaemon:!*::0:99999:7:::\n";
constexpr const char* kGshadow = "root:*::\nwheel:!:alice:alice,bob\n";

Accounts accounts(const std::string& passwd, const std::string& group) {
  return {parse_passwd(passwd, "passwd"), parse_group(group, "group"), {}, {}};
}

std::vector<std::string> names(const auto& entries) {
  std::vector<std::string> out;
  for (const auto& entry : entries) out.push_back(entry.name);
  return out;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("account files are read and written line for line", "[users]") {
  const auto users = parse_passwd(kPasswd, "passwd");
  REQUIRE(users.size() == 3);
  CHECK(users[2] == User{"sshd", "x", 101, 65534, "", "/run/sshd", "/usr/sbin/nologin"});
  CHECK(serialise(users) == kPasswd);
  const auto groups = parse_group(kGroup, "group");
  CHECK(groups[2].members == Names{"alice", "bob"});
  CHECK(serialise(groups) == kGroup);
  const auto shadow = parse_shadow(kShadow, "shadow");
  CHECK(shadow[0].last_change == "19500");
  CHECK(shadow[1].rest == "0:99999:7:::");
  CHECK(serialise(shadow) == kShadow);
  const auto gshadow = parse_gshadow(kGshadow, "gshadow");
  CHECK(gshadow[1].administrators == Names{"alice"});
  CHECK(serialise(gshadow) == kGshadow);
  CHECK(parse_passwd("", "passwd").empty());
  CHECK(parse_passwd("# comment\n\nroot:x:0:0:::\n", "passwd").size() == 1);
  CHECK(parse_group("a:x:1:", "group").size() == 1);  // no newline at the end
}

TEST_CASE("broken account files are refused with file and line", "[users]") {
  const auto passwd = [](const std::string& text) { return parse_passwd(text, "etc/passwd"); };
  CHECK_THROWS_WITH(passwd("root:x:0:0:::\nbad:x:1\n"), Contains("etc/passwd:2") && Contains("7"));
  CHECK_THROWS_WITH(passwd("a:x:one:0:::\n"), Contains("etc/passwd:1") && Contains("\"one\""));
  CHECK_THROWS_WITH(passwd("a:x:-1:0:::\n"), Contains("\"-1\""));
  CHECK_THROWS_WITH(passwd("a:x:4294967295:0:::\n"), Contains("4294967295"));
  CHECK_THROWS_WITH(passwd("a:x:1:99999999999:::\n"), Contains("gid of a"));
  CHECK_THROWS_WITH(passwd(":x:1:1:::\n"), Contains("name is empty"));
  CHECK_THROWS_WITH(passwd("a:x:1:1:::\n\na:x:2:1:::\n"),
                    Contains("etc/passwd:3") && Contains("another a"));
  CHECK_THROWS_WITH(passwd("+::::::\n"), Contains("NIS"));
  CHECK_THROWS_WITH(parse_group("wheel:x:10\n", "group"), Contains("group:1"));
  CHECK_THROWS_WITH(parse_shadow("root:*:::\n", "shadow"), Contains("shadow:1"));
  CHECK_THROWS_WITH(parse_gshadow("root:*:\n", "gshadow"), Contains("gshadow:1"));
}

TEST_CASE("names become numbers", "[users]") {
  const Ids ids(accounts(kPasswd, kGroup));
  CHECK(ids.uid("sshd") == 101);
  CHECK(ids.gid("wheel") == 10);
  CHECK_FALSE(ids.uid("wheel"));
  CHECK_FALSE(ids.gid("sshd"));
  CHECK(Ids({}).uid("root") == 0);
  CHECK(Ids({}).gid("root") == 0);
}

TEST_CASE("an earlier commit's accounts keep their numbers in a new tree", "[users][inject]") {
  Accounts tree = accounts(
      "root:x:0:0:root:/root:/bin/bash\nbin:x:2:2:new text:/bin:/sbin/nologin\n"
      "fresh:x:50:50::/:/sbin/nologin\n",
      "root:x:0:\nbin:x:2:\nfresh:x:50:\n");
  tree.shadow = parse_shadow("root:*:19500:0:99999:7:::\n", "shadow");
  Accounts earlier = accounts(
      "root:x:0:0:root:/root:/bin/sh\nbin:x:1:1:bin:/bin:/sbin/nologin\n"
      "sshd:x:101:65534::/run/sshd:/sbin/nologin\nclash:x:50:51::/:/sbin/nologin\n",
      "root:x:0:\nbin:x:1:\nssh:x:102:\ndocker:x:103:core\n");
  earlier.shadow = parse_shadow("sshd:!:19400:0:99999:7:::\n", "shadow");
  const Injection report = inject(tree, earlier);
  CHECK(report.users == Names{"sshd"});
  CHECK(report.groups == Names{"ssh", "docker"});
  CHECK(report.renumbered == Names{"user bin: 2:2 -> 1:1", "group bin: 2 -> 1"});
  CHECK(report.dropped == Names{"user clash (50): its number now belongs to fresh"});
  CHECK(serialise(tree.users) ==
        "root:x:0:0:root:/root:/bin/bash\n"
        "bin:x:1:1:new text:/bin:/sbin/nologin\n"
        "fresh:x:50:50::/:/sbin/nologin\n"
        "sshd:x:101:65534::/run/sshd:/sbin/nologin\n");
  CHECK(serialise(tree.groups) ==
        "root:x:0:\nbin:x:1:\nfresh:x:50:\nssh:x:102:\ndocker:x:103:core\n");
  CHECK(serialise(tree.shadow) ==
        "root:*:19500:0:99999:7:::\nbin:!*::0:99999:7:::\nfresh:!*::0:99999:7:::\n"
        "sshd:!:19400:0:99999:7:::\n");
  CHECK(serialise(tree.gshadow) == "root:!::\nbin:!::\nfresh:!::\nssh:!::\ndocker:!::core\n");

  const Accounts once = tree;
  const Injection again = inject(tree, earlier);
  CHECK(tree == once);
  CHECK(again.users.empty());
  CHECK(again.renumbered.empty());
}

TEST_CASE("the result does not tell what it was composed on top of", "[users]") {
  const std::string passwd = "root:x:0:0:::\na:x:3:3:::\nb:x:1:1:::\ntoor:x:0:0:::\n";
  Accounts fresh = accounts(passwd, "root:x:0:\na:x:3:\nb:x:1:\n");
  Accounts on_top = accounts("root:x:0:0:::\ntoor:x:0:0:::\n", "root:x:0:\n");
  inject(on_top, accounts("b:x:1:1:::\na:x:3:3:::\n", "b:x:1:\na:x:3:\n"));
  inject(fresh, fresh);
  fresh.shadow[0].last_change = "19500";
  on_top.shadow[0].last_change = "19501";
  normalise(fresh);
  normalise(on_top);
  CHECK(fresh == on_top);
  CHECK(names(fresh.users) == Names{"root", "toor", "b", "a"});
  CHECK(names(fresh.shadow) == Names{"root", "toor", "b", "a"});
  CHECK(names(fresh.gshadow) == Names{"root", "b", "a"});
}

TEST_CASE("accounts of /etc hide those of /usr/lib", "[users]") {
  const Accounts all = combine(accounts("root:x:0:0:mine:/root:/bin/sh\n", "root:x:0:\n"),
                               accounts("root:x:0:0:theirs::\nbin:x:1:1:::\n", "bin:x:1:\n"));
  CHECK(serialise(all.users) == "root:x:0:0:mine:/root:/bin/sh\nbin:x:1:1:::\n");
  CHECK(serialise(all.groups) == "root:x:0:\nbin:x:1:\n");
}

TEST_CASE("root stays in /etc, the rest moves to /usr/lib", "[users][split]") {
  Accounts tree = accounts(kPasswd, kGroup);
  tree.shadow = parse_shadow(kShadow, "shadow");
  const Split split = split_accounts(tree, {"wheel", "docker"});
  CHECK(serialise(split.etc.users) == "root:x:0:0:root:/root:/bin/bash\n");
  CHECK(names(split.usr_lib.users) == Names{"daemon", "sshd"});
  CHECK(names(split.etc.groups) == Names{"root", "wheel"});
  CHECK(names(split.usr_lib.groups) == Names{"daemon", "wheel", "nogroup"});
  CHECK(split.unknown_members == Names{"docker"});
  CHECK(split.etc.shadow == tree.shadow);
  CHECK(split.usr_lib.shadow.empty());
  // nobody is lost: together they are what they were
  CHECK(names(combine(split.etc, split.usr_lib).users) == names(tree.users));
}

TEST_CASE("altfiles goes behind files in nsswitch.conf", "[users][nsswitch]") {
  CHECK(add_altfiles("# passwd: files\n"
                     "passwd:     files systemd   # local first\n"
                     "shadow:     files\n"
                     "group:\tfiles [SUCCESS=merge] systemd\n"
                     "hosts: files dns\n") ==
        "# passwd: files\n"
        "passwd:     files altfiles systemd   # local first\n"
        "shadow:     files\n"
        "group:\tfiles [SUCCESS=merge] altfiles [SUCCESS=merge] systemd\n"
        "hosts: files dns\n");
  const std::string done = "passwd: sss files altfiles\ngroup: files altfiles\n";
  CHECK(add_altfiles(done) == done);
  CHECK(add_altfiles("passwd: sss files\ngroup: compat\n") ==
        "passwd: sss files altfiles\ngroup: compat altfiles\n");
  CHECK(add_altfiles("group: db sss") == "group: db sss altfiles\npasswd: files altfiles\n");
  CHECK(add_altfiles("") == "passwd: files altfiles\ngroup: files altfiles\n");
  CHECK(add_altfiles("passwd:\ngroup: files#x\n") ==
        "passwd: files altfiles\ngroup: files altfiles#x\n");
}

TEST_CASE("changed ids are an error that names both values", "[users][check]") {
  const auto now = parse_passwd("root:x:0:0:::\nsshd:x:102:102:::\nbin:x:1:5:::\n", "passwd");
  const auto was =
      expected_of(parse_passwd("root:x:0:0:::\nsshd:x:101:102:::\nbin:x:1:1:::\n", "p"));
  CHECK_THROWS_WITH(check_users(now, was, "the previous commit", {"*"}),
                    Contains("the previous commit") && Contains("user sshd has uid 102, had 101") &&
                        Contains("user bin has gid 5, had 1"));
  CHECK_THROWS_WITH(check_groups(parse_group("a:x:7:\n", "g"), {{"a", 8, 8}}, "group.txt", {}),
                    Contains("group.txt") && Contains("group a has gid 7, had 8"));
}

TEST_CASE("removed accounts are reported unless they may go", "[users][check]") {
  const auto now = parse_passwd("root:x:0:0:::\nnew:x:9:9:::\n", "passwd");
  const std::vector<Expected> was = {{"root", 0, 0}, {"gone", 7, 7}, {"away", 8, 8}};
  const Checked strict = check_users(now, was, "x", {});
  CHECK(names(strict.removed) == Names{"away", "gone"});
  CHECK(strict.removed[1].id == 7);
  CHECK(strict.added == Names{"new"});
  CHECK(strict.ignored.empty());
  const Checked some = check_users(now, was, "x", {"gone"});
  CHECK(names(some.removed) == Names{"away"});
  CHECK(some.ignored == Names{"gone"});
  CHECK(check_users(now, was, "x", {"*"}).removed.empty());
  // group members do not count
  CHECK(check_groups(parse_group("a:x:7:x,y\n", "g"), expected_of(parse_group("a:x:7:\n", "g")),
                     "x", {})
            .removed.empty());
}

TEST_CASE("sysusers lines are understood", "[users][sysusers]") {
  using Type = SysusersLine::Type;
  const auto lines = parse_sysusers(
      "#Type Name ID\n"
      "\n"
      "u httpd 404 \"HTTP \\\"User\\\"\"\n"
      "u! _authd /usr/bin/authd 'Auth user' /var/lib/authd -\n"
      "u pg 26:database - /var/lib/pgsql /bin/bash\n"
      "u both 30:31\n"
      "u auto -:web\n"
      "g input - -\n"
      "g render 104\n"
      "m _authd input\n"
      "r - 500-900\n",
      "sysusers.d/x.conf");
  REQUIRE(lines.size() == 9);
  CHECK(lines[0].type == Type::User);
  CHECK(lines[0].name == "httpd");
  CHECK(lines[0].id == 404);
  CHECK(lines[0].gecos == "HTTP \"User\"");
  CHECK(lines[1].is_locked);
  CHECK(lines[1].id_path == "/usr/bin/authd");
  CHECK(lines[1].home == "/var/lib/authd");
  CHECK(lines[1].shell.empty());
  CHECK(lines[2].id == 26);
  CHECK(lines[2].group == "database");
  CHECK(lines[2].gecos.empty());
  CHECK(lines[2].shell == "/bin/bash");
  CHECK(lines[3].gid == 31);
  CHECK_FALSE(lines[4].id);
  CHECK(lines[4].group == "web");
  CHECK(lines[5].type == Type::Group);
  CHECK_FALSE(lines[5].id);
  CHECK(lines[6].id == 104);
  CHECK(lines[7].type == Type::Member);
  CHECK(lines[7].group == "input");
  CHECK(lines[8].type == Type::Range);
  CHECK(lines[8].low == 500);
  CHECK(lines[8].high == 900);
}

TEST_CASE("broken sysusers lines are refused with file and line", "[users][sysusers]") {
  const auto parse = [](const std::string& text) { return parse_sysusers(text, "x.conf"); };
  CHECK_THROWS_WITH(parse("u a 1\nz b 2\n"), Contains("x.conf:2") && Contains("\"z\""));
  CHECK_THROWS_WITH(parse("u\n"), Contains("name is missing"));
  CHECK_THROWS_WITH(parse("u a abc\n"), Contains("\"abc\""));
  CHECK_THROWS_WITH(parse("u a 65535\n"), Contains("reserved"));
  CHECK_THROWS_WITH(parse("u a 1 \"open\n"), Contains("quote"));
  CHECK_THROWS_WITH(parse("u a 1 one two three four\n"), Contains("six"));
  CHECK_THROWS_WITH(parse("g a 1:2\n"), Contains("only users"));
  CHECK_THROWS_WITH(parse("m a\n"), Contains("group to join"));
  CHECK_THROWS_WITH(parse("r - 9-3\n"), Contains("9-3"));
}

TEST_CASE("fixed sysusers accounts are foreseen as systemd-sysusers writes them",
          "[users][sysusers]") {
  const auto lines = parse_sysusers(
      "u web 80:www \"Web\" /srv\ng www 81\nu solo 90\nu known 5\nu auto -\nu far 91:unknown\n",
      "x");
  const Accounts out = fixed_accounts(lines, accounts("known:x:6:6:::\n", "known:x:6:\n"));
  CHECK(serialise(out.users) ==
        "web:x:80:81:Web:/srv:/usr/sbin/nologin\nsolo:x:90:90::/:/usr/sbin/nologin\n");
  CHECK(serialise(out.groups) == "www:x:81:\nsolo:x:90:\n");
}
