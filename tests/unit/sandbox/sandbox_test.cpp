// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sandbox/sandbox.hpp"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "base/error.hpp"
#include "base/scope_exit.hpp"
#include "sandbox/small_tree.hpp"

using namespace atomichost;
using namespace std::chrono_literals;
using sandbox::Change;
using sandbox::Job;
using sandbox::Result;
using test::SmallTree;
namespace fs = std::filesystem;

namespace {

struct Box : SmallTree {
  TempDir work;
  Result run(Job job, const CancelToken* cancel = nullptr) {
    if (job.name.empty()) job.name = "test %post";
    return sandbox::Sandbox(tree, opener(), {.work_dir = work.path()}).run(job, cancel);
  }
  Result sh(const std::string& script) { return run({.script = "set -e\n" + script}); }
};

// "R etc/x", "F etc/y", ... for comparing at a glance.
std::vector<std::string> summary(const Result& result) {
  std::vector<std::string> lines;
  for (const auto& change : result.changes)
    lines.push_back(std::string(1, "RDFLS"[static_cast<int>(change.kind)]) +
                    (change.opaque ? "! " : " ") + change.path);
  return lines;
}
using Lines = std::vector<std::string>;

const Change& change_at(const Result& result, const std::string& path) {
  for (const auto& change : result.changes)
    if (change.path == path) return change;
  FAIL("no change at " << path);
  throw std::logic_error("not reached");
}

std::string content(const Change& change) {
  return read_fd(change.open_content().get(), change.path);
}

// Processes of this machine whose command line has @p word.
std::vector<pid_t> processes_with(const std::string& word) {
  std::vector<pid_t> found;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != name.npos) continue;
    try {
      if (read_file(entry.path() / "cmdline").find(word) != std::string::npos)
        found.push_back(std::stoi(name));
    } catch (const Error&) {  // has ended meanwhile
    }
  }
  return found;
}

// Whether all of them end, within ten seconds: one that was just being started may still be on its
// way out.
bool all_end(const std::string& word) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  for (;;) {
    const auto left = processes_with(word);
    if (left.empty()) return true;
    if (std::chrono::steady_clock::now() > deadline) return false;
    for (const pid_t process : left) {
      const UniqueFd fd(static_cast<int>(syscall(SYS_pidfd_open, process, 0)));
      pollfd ended{fd.get(), POLLIN, 0};
      if (fd) poll(&ended, 1, 1000);
    }
  }
}

}  // namespace

TEST_CASE("A command sees the tree: contents, owners, modes, times, links", "[sandbox]") {
  Box box;
  box.file("usr/bin/tool", "#!/bin/sh\necho tool ran with $1\n", 04755).chown(5, 6);
  box.file("etc/large", std::string(3'000'000, 'x') + "end");
  box.tree.put_symlink("etc/link", "passwd");
  const Result result = box.sh(
      "tool it; cat /etc/passwd; tail -c 4 /etc/large; echo; readlink /etc/link\n"
      "stat -c '%n %a %u:%g %s %h %Y' /usr/bin/tool /etc/passwd /etc\n"
      "find /etc; ls -d /etc/nothing || echo absent");
  CHECK(result.exit_status == 0);
  CHECK(result.output ==
        "tool ran with it\n"
        "root:x:0:0:root:/root:/bin/sh\n"
        "xend\n"
        "passwd\n"
        "/usr/bin/tool 4755 5:6 32 1 0\n"
        "/etc/passwd 644 0:0 30 1 0\n"
        "/etc 755 0:0 0 1 0\n"
        "/etc\n/etc/group\n/etc/large\n/etc/link\n/etc/passwd\n"
        "ls: /etc/nothing: No such file or directory\n"
        "absent\n");
  CHECK(result.changes.empty());
  CHECK_FALSE(result.replayed);
}

TEST_CASE("Capabilities and labels of the tree can be read", "[sandbox]") {
  Box box;
  box.host_program("/usr/bin/getfattr");
  tree::Meta meta{.mode = S_IFREG | 0755, .label = "system_u:object_r:bin_t:s0"};
  meta.capability = std::string("\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  box.file("usr/bin/ping", "ping").meta = tree::intern(meta);
  const Result result = box.sh(
      "for n in capability selinux; do getfattr --only-values -n security.$n /usr/bin/ping; done");
  CHECK(result.exit_status == 0);
  CHECK_THAT(result.output, Catch::Contains("system_u:object_r:bin_t:s0"));
  CHECK_THAT(result.output, Catch::Contains(meta.capability));
  SECTION("and stay on a file whose owner bits change") {
    const Result changed = box.sh("chmod 700 /usr/bin/ping");
    CHECK(change_at(changed, "usr/bin/ping").meta.capability == meta.capability);
    CHECK(change_at(changed, "usr/bin/ping").meta.mode == (S_IFREG | 0700));
  }
}

TEST_CASE("All kinds of changes are told, and applying them gives the tree the command saw",
          "[sandbox]") {
  Box box;
  box.host_program("/usr/bin/setfattr");
  for (const char* name : {"edit", "mode", "owner", "gone", "same", "rewritten", "moved", "cap"})
    box.file(std::string("etc/") + name, std::string(name) + "\n");
  box.file("etc/dir/a", "a\n");
  box.file("etc/dir/sub/b", "b\n");
  box.file("etc/again/old", "old\n");
  box.file("etc/again/kept", "kept\n");
  box.file("etc/todir", "was a file\n");
  box.file("etc/tofile/x", "was a directory\n");
  box.file("usr/lib/rename/deep/f", "f\n");
  box.tree.put_symlink("etc/linkdir", "dir");
  box.tree.put_symlink("etc/retarget", "edit");
  box.tree.find("etc/edit")->package = 3;
  box.tree.find("etc/mode")->package = 3;

  const std::string look =
      "cd /; find . -xdev \\( -path ./tmp -o -path ./var/tmp -o -path ./run -o -path ./dev -o "
      "-path ./proc -o -path ./sys -o -path ./usr/bin -o -path ./usr/lib/x86_64-linux-gnu \\) "
      "-prune -o -print | sort | while read -r f; do stat -c '%n %F %a %u:%g' \"$f\"; "
      "if [ -L \"$f\" ]; then readlink \"$f\"; elif [ -f \"$f\" ]; then cat \"$f\"; fi; done\n";
  const Result result = box.sh(
      "echo more >> /etc/edit; chmod 4711 /etc/mode; chown 7:8 /etc/owner; rm /etc/gone\n"
      "touch /etc/same; echo rewritten > /etc/rewritten; mv /etc/moved /etc/new-name\n"
      "rm -rf /etc/again; mkdir /etc/again; echo kept > /etc/again/kept; echo n > /etc/again/new\n"
      "rm /etc/todir; mkdir -p /etc/todir/in; echo f > /etc/todir/in/f\n"
      "rm -rf /etc/tofile; echo now a file > /etc/tofile\n"
      "mv /usr/lib/rename /usr/lib/renamed; rm -rf /etc/dir\n"
      "rm /etc/linkdir; mkdir /etc/linkdir; echo l > /etc/linkdir/l\n"
      "ln -sfn mode /etc/retarget; ln -s /nowhere /etc/dangling\n"
      "echo one > /usr/lib/one; ln /usr/lib/one /usr/lib/two; ln /etc/same /etc/hard\n"
      "echo t > /tmp/t; echo t > /var/tmp/t; echo t > /run/t; echo t > /dev/t; mkdir -m 2750 "
      "/var/lib/s\n"
      "setfattr -n security.capability -v 0x0100000200200000000000000000000000000000 /etc/cap\n"
      "mkfifo /etc/fifo; chmod 700 /root\n" +
      look);
  INFO(result.output);
  REQUIRE(result.exit_status == 0);
  CHECK(summary(result) == Lines{"D! etc/again",
                                 "F etc/again/kept",
                                 "F etc/again/new",
                                 "F etc/cap",
                                 "L etc/dangling",
                                 "R etc/dir",
                                 "F etc/edit",
                                 "S etc/fifo",
                                 "R etc/gone",
                                 "F etc/hard",
                                 "D! etc/linkdir",
                                 "F etc/linkdir/l",
                                 "F etc/mode",
                                 "R etc/moved",
                                 "F etc/new-name",
                                 "F etc/owner",
                                 "L etc/retarget",
                                 "D! etc/todir",
                                 "D etc/todir/in",
                                 "F etc/todir/in/f",
                                 "F etc/tofile",
                                 "D root",
                                 "F usr/lib/one",
                                 "R usr/lib/rename",
                                 "D usr/lib/renamed",
                                 "D usr/lib/renamed/deep",
                                 "F usr/lib/renamed/deep/f",
                                 "F usr/lib/two",
                                 "D var/lib/s"});
  CHECK(content(change_at(result, "etc/edit")) == "edit\nmore\n");
  CHECK(content(change_at(result, "usr/lib/two")) == "one\n");
  CHECK(change_at(result, "etc/mode").meta.mode == (S_IFREG | 04711));
  CHECK(change_at(result, "etc/cap").meta.capability.size() == 20);
  CHECK(change_at(result, "var/lib/s").meta.mode == (S_IFDIR | 02750));

  std::vector<std::string> stored;
  const auto put = box.put();
  sandbox::apply(box.tree, result.changes, [&](const std::string& path, tree::Node& node, int fd) {
    stored.push_back(path);
    put(path, node, fd);
  });
  CHECK(std::find(stored.begin(), stored.end(), "etc/mode") == stored.end());  // content unchanged
  CHECK(box.tree.find("etc/mode")->package == 3);
  CHECK(box.tree.find("etc/edit")->package == -1);
  CHECK(box.tree.find("etc/cap")->meta->capability == change_at(result, "etc/cap").meta.capability);
  CHECK(box.tree.find("etc/fifo") == nullptr);

  const Result again = box.sh(look);
  std::string expected = result.output;  // but the fifo cannot be kept
  const auto fifo = expected.find("./etc/fifo");
  expected.erase(fifo, expected.find('\n', fifo) + 1 - fifo);
  CHECK(again.output == expected);
  CHECK(again.changes.empty());
}

TEST_CASE("A command cannot reach the network, the build host or other processes", "[sandbox]") {
  Box box;
  const TempDir secret;
  replace_file(secret.path() / "file", "secret");
  const Result result = box.run(
      {.script =
           "set +e; ip addr | grep -o 'inet .*/'; ip link | grep -c mtu\n"
           "wget -q -T 2 http://192.0.2.1/ && echo BAD: network\n"
           "ls " +
           secret.path().string() +
           " && echo BAD: temporary directory\n"
           "[ -e /etc/debian_version ] && echo BAD: host file\n"
           "echo $(ls /); echo $(ls /proc | grep -v '^[0-9]*$'); echo $(ls /dev); ls /sys\n"
           "ls /proc/1/root/ && echo BAD: root of process 1\n"
           "cat /proc/1/environ && echo BAD: environment of process 1\n"
           "cat /proc/1/maps && echo BAD: memory of process 1\n"
           "for p in /proc/[0-9]*; do [ -e $p/root/etc/debian_version ] && echo BAD: $p; done\n"
           "mknod /etc/disk b 8 0 && echo BAD: device; mount -t tmpfs x /etc && echo BAD: mount\n"
           "hostname; id -u; umask; cat; exit 7"});
  INFO(result.output);
  CHECK(result.exit_status == 7);
  CHECK_THAT(result.output, !Catch::Contains("BAD"));
  CHECK_THAT(result.output, Catch::Contains("inet 127.0.0.1/\n1\n"));
  CHECK_THAT(result.output,
             Catch::Contains(
                 "\nbin dev etc lib lib64 proc root run sys tmp usr var\n"
                 "self thread-self\n"
                 "core fd full null ptmx pts random shm stderr stdin stdout tty urandom zero\n"));
  CHECK_THAT(result.output, Catch::EndsWith("localhost\n0\n0022\n"));
  CHECK(result.changes.empty());
}

TEST_CASE("A command gets the environment, arguments, input and files of its job, and no more",
          "[sandbox]") {
  Box box;
  box.file("usr/bin/systemctl", "#!/bin/sh\necho real\n", 0755);
  const TempDir shown;
  replace_file(shown.path() / "given", "given\n");
  setenv("SECRET_OF_THE_HOST", "1", 1);
  std::string streamed;
  const Result result =
      box.run({.script = "env | sort | tr '\\n' ' '; echo; echo $0 $1; cat; systemctl\n"
                         "cat /run/in/given; cat /etc/wrapper\n"
                         "echo x > /run/in/given; echo x > /usr/lib/x; echo ok > /etc/ok\n",
               .script_args = {"2"},
               .input = "/usr/lib/a\n/usr/lib/b\n",
               .env = {{"KERNEL", "6.1"}, {"TERM", "vt100"}},
               .read_only_usr = true,
               .binds = {{shown.path(), "/run/in", "1"}},
               .files = {{"/bin/systemctl", "#!/bin/sh\necho wrapped\n", 0755},
                         {"/etc/wrapper", "w\n", 0644}},
               .on_output = [&](std::string_view text) { streamed += text; }});
  INFO(result.output);
  CHECK_THAT(result.output,
             Catch::StartsWith(
                 "HOME=/root KERNEL=6.1 LANG=C.UTF-8 LOGNAME=root PATH=/usr/sbin:/usr/bin:"
                 "/sbin:/bin PWD=/ PYTHONDONTWRITEBYTECODE=1 SHELL=/bin/sh SHLVL=1 "
                 "SOURCE_DATE_EPOCH=1577836800 SYSTEMD_OFFLINE=1 TERM=vt100 TZ=UTC USER=root \n"
                 "/run/atomic/script 2\n/usr/lib/a\n/usr/lib/b\nwrapped\ngiven\nw\n"));
  CHECK_THAT(result.output, Catch::Contains("/run/in/given: Read-only file system"));
  CHECK_THAT(result.output, Catch::Contains("/usr/lib/x: Read-only file system"));
  CHECK(streamed == result.output);
  CHECK(summary(result) == Lines{"F etc/ok"});
  CHECK(read_file(shown.path() / "given") == "given\n");
  CHECK_THROWS_WITH(box.run({.script = "true", .files = {{"/opt/none/x", "", 0755}}}),
                    Catch::Contains("/opt/none/x"));
}

TEST_CASE("The end of a command is told as a shell would", "[sandbox]") {
  Box box;
  CHECK(box.run({.script = "exit 3"}).exit_status == 3);
  CHECK(box.run({.script = "kill -9 $$"}).exit_status == 128 + SIGKILL);
  CHECK(box.run({.argv = {"/usr/bin/true"}}).ok());
  CHECK(box.run({.argv = {"/usr/bin/nothing"}}).exit_status == 127);
  CHECK(box.run({.argv = {"/usr/bin/nothing"}, .script = "true"}).exit_status == 127);
  const Result loud = box.run({.script = "head -c 2000000 /dev/zero | tr '\\0' x; echo the end"});
  CHECK(loud.output.size() <= 256 << 10);
  CHECK_THAT(loud.output, Catch::EndsWith("xthe end\n"));
}

TEST_CASE("A command that hangs is killed with all its processes", "[sandbox]") {
  Box box;
  const Result result =
      box.run({.script = "echo started; setsid sleep 98761 & sleep 98761", .timeout = 300ms});
  CHECK(result.timed_out);
  CHECK_FALSE(result.ok());
  CHECK(result.output == "started\n");
  CHECK(all_end("98761"));
}

TEST_CASE("What a command leaves running ends with it", "[sandbox]") {
  Box box;
  const Result result = box.sh(
      "for i in 1 2 3; do (setsid sh -c 'trap \"\" TERM HUP; sleep 98762' &) ; done; echo > "
      "/etc/done");
  CHECK(result.ok());
  CHECK(result.seconds < 20);
  CHECK(summary(result) == Lines{"F etc/done"});
  CHECK(all_end("98762"));
}

TEST_CASE("A cancelled command ends at once", "[sandbox]") {
  Box box;
  CancelToken cancel;
  CHECK_THROWS_AS(box.run({.script = "echo on; sleep 98763 & sleep 98763",
                           .on_output = [&](std::string_view) { cancel.cancel(); }},
                          &cancel),
                  Cancelled);
  CHECK(all_end("98763"));
  CHECK(fs::is_empty(box.work.path()));
}

TEST_CASE("rm -rf / hurts nobody but is seen", "[sandbox]") {
  Box box;
  const Result result = box.run({.script = "rm -rf /* 2>/dev/null; echo still here"});
  CHECK(result.output == "still here\n");
  CHECK(summary(result) ==
        Lines{"R bin", "R etc", "R lib", "R lib64", "R root", "R usr", "R var/lib"});
  CHECK(fs::exists("/etc/debian_version"));
  CHECK(box.sh("cat /etc/group").output == "root:x:0:\n");
}

TEST_CASE("A full disk is not the script's fault", "[sandbox]") {
  Box box;
  const TempDir mount_point;
  REQUIRE(unshare(CLONE_NEWNS) == 0);
  REQUIRE(mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
  REQUIRE(mount("tmpfs", mount_point.path().c_str(), "tmpfs", 0, "size=2m") == 0);
  const ScopeExit unmount([&] { umount2(mount_point.path().c_str(), MNT_DETACH); });
  sandbox::Sandbox small(box.tree, box.opener(), {.work_dir = mount_point.path()});
  const auto run = [&](const std::string& script) {
    try {
      return "exit " +
             std::to_string(small.run({.name = "pkg %post", .script = script}).exit_status);
    } catch (const Error& e) {
      return std::string(e.code() == ErrorCode::NoSpace ? "NoSpace " : "other ") + e.what();
    }
  };
  CHECK(run("head -c 100000 /dev/zero > /etc/some") == "exit 0");
  const auto full = run("head -c 9000000 /dev/zero > /etc/big");
  CHECK_THAT(full, Catch::StartsWith("NoSpace pkg %post: "));
  CHECK_THAT(full, Catch::Contains(mount_point.path().string()));
  CHECK_THAT(run("head -c 9000000 /dev/zero > /etc/big 2>/dev/null; true"),
             Catch::StartsWith("NoSpace"));
  CHECK_THAT(run("head -c 9000000 /dev/zero > /etc/big || { rm /etc/big; exit 1; }"),
             Catch::StartsWith("NoSpace"));
  CHECK(run("head -c 100000 /dev/zero > /etc/some") == "exit 0");
}

TEST_CASE("Sandboxes run side by side and hold nothing of each other", "[sandbox]") {
  Box box;
  std::atomic<int> good = 0;
  const auto work = [&](int id) {
    for (int i = 0; i < 6; ++i) {
      const std::string mark = std::to_string(id) + "." + std::to_string(i);
      const Result result = box.sh("cat /etc/passwd > /dev/null; echo " + mark +
                                   " > /etc/mark\n"
                                   "for fd in /proc/$$/fd/*; do readlink $fd; done | sort -u | "
                                   "sed 's/[: ].*//' | tr '\\n' ' '");
      if (result.ok() && summary(result) == Lines{"F etc/mark"} &&
          content(change_at(result, "etc/mark")) == mark + "\n" &&
          result.output == "/dev/null /run/atomic/script pid pipe ")
        ++good;
      else
        WARN(result.output);
    }
  };
  std::thread other(work, 1);
  work(2);
  other.join();
  CHECK(good == 12);
}

TEST_CASE("A content that cannot be read fails the command with its reason", "[sandbox]") {
  Box box;
  box.file("etc/lost", "lost").content = sha256("elsewhere");
  auto& cut = box.file("etc/cut", "cut");
  cut.size = 10;
  CHECK_THROWS_WITH(box.sh("cat /etc/lost || true"), Catch::Contains("/etc/lost"));
  CHECK_THROWS_WITH(box.sh("cat /etc/cut || true"), Catch::Contains("/etc/cut is shorter"));
  CHECK(box.sh("cat /etc/passwd").ok());
}

TEST_CASE("Devices, fifos and sockets are reported, not kept", "[sandbox]") {
  Box box;
  const Result result = box.sh("rm /etc/group; mkfifo /etc/group");
  CHECK(summary(result) == Lines{"S etc/group"});
  sandbox::apply(box.tree, result.changes, box.put());
  CHECK(box.tree.find("etc/group") == nullptr);
}

TEST_CASE("A killed compose leaves no process and no mount", "[sandbox]") {
  Box box;
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t pid = fork();
  if (pid == 0) {
    try {
      (void)box.run({.script = "echo on; cat /etc/passwd; setsid sleep 98764 & sleep 98764",
                     .on_output = [&](std::string_view) { (void)!write(ends[1], "x", 1); }});
    } catch (...) {
    }
    _exit(1);
  }
  close(ends[1]);
  char byte = 0;
  REQUIRE(read(ends[0], &byte, 1) == 1);
  close(ends[0]);
  kill(pid, SIGKILL);
  REQUIRE(waitpid(pid, nullptr, 0) == pid);
  CHECK(all_end("98764"));
  CHECK(read_file("/proc/self/mountinfo").find(box.work.path().string()) == std::string::npos);
}

TEST_CASE("Lua scripts run as under rpm, in a tree without rpm", "[sandbox]") {
  Box box;
  const Result result =
      box.run({.script = "local f = io.open('/etc/passwd'); print(f:read('a'))\n"
                         "print(posix.stat('/etc/group', 'size'), arg[2])\n"
                         "posix.mkdir('/etc/lua.d'); posix.symlink('lua.d', '/etc/lua')\n"
                         "print(rpm.vercmp('1.10', '1.9'), io.open('/etc/debian_version'))\n"
                         "assert(rpm.execute('/usr/bin/cat', '/etc/group') == 0)\n",
               .is_lua = true,
               .script_args = {"1"}});
  INFO(result.output);
  CHECK(result.exit_status == 0);
  for (const char* text :
       {"root:x:0:0:root:/root:/bin/sh\n", "10.0\t1\n", "1\tnil\t", "root:x:0:\n"})
    CHECK_THAT(result.output, Catch::Contains(text));
  CHECK(summary(result) == Lines{"L etc/lua", "D etc/lua.d"});
  const Result bad = box.run({.script = "error('no way')", .is_lua = true});
  CHECK(bad.exit_status != 0);
  CHECK_THAT(bad.output, Catch::Contains("no way"));
}

TEST_CASE("The self-test says what is missing", "[sandbox]") {
  const TempDir work;
  CHECK_NOTHROW(sandbox::self_test(work.path()));
  CHECK_THROWS_WITH(sandbox::self_test(work.path() / "nowhere"), Catch::Contains("nowhere"));
  CHECK_THROWS_WITH(sandbox::self_test("/proc"), Catch::Contains("/proc"));
  const std::string path = getenv("PATH");
  setenv("PATH", "/nowhere", 1);
  const ScopeExit restore([&] { setenv("PATH", path.c_str(), 1); });
  CHECK_THROWS_WITH(sandbox::self_test(work.path()), Catch::Contains("install bubblewrap"));
}

TEST_CASE("Without privileges, or on a file system overlayfs refuses, the error says so",
          "[sandbox]") {
  TempDir work;
  SECTION("not root") {
    REQUIRE(chmod(work.path().c_str(), 0777) == 0);
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t pid = fork();
    if (pid == 0) {
      std::string said = "no error";
      try {
        if (setgid(65534) == 0 && setuid(65534) == 0) sandbox::self_test(work.path());
      } catch (const Error& e) {
        said = e.what();
      }
      (void)!write(ends[1], said.data(), said.size());
      _exit(0);
    }
    close(ends[1]);
    const std::string said = read_fd(ends[0], "what the child said");
    close(ends[0]);
    waitpid(pid, nullptr, 0);
    CHECK_THAT(said, Catch::Contains("run as root"));
  }
  SECTION("the work directory lies on an overlay") {
    REQUIRE(unshare(CLONE_NEWNS) == 0);
    REQUIRE(mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0);
    for (const char* name : {"lower", "upper", "work", "on"}) make_directories(work.path() / name);
    const std::string at = work.path() / "on";
    const std::string options = "lowerdir=" + (work.path() / "lower").string() +
                                ",upperdir=" + (work.path() / "upper").string() +
                                ",workdir=" + (work.path() / "work").string();
    REQUIRE(mount("overlay", at.c_str(), "overlay", 0, options.c_str()) == 0);
    CHECK_THROWS_WITH(
        sandbox::self_test(at),
        Catch::Contains("overlay") && Catch::Contains("must be on a local file system"));
    REQUIRE(umount2(at.c_str(), MNT_DETACH) == 0);
  }
}
