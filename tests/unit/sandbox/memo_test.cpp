// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sandbox/memo.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "base/error.hpp"
#include "sandbox/sandbox.hpp"
#include "sandbox/small_tree.hpp"

using namespace atomichost;
using sandbox::Change;
using sandbox::Job;
using sandbox::Result;
using test::SmallTree;
namespace fs = std::filesystem;

namespace {

// A tree with one object for each kind of question, and a script that asks each.
struct Probe : SmallTree {
  TempDir work;
  fs::path memo = work.path() / "memo";

  Probe() {
    host_program("/usr/bin/getfattr");
    for (const char* name :
         {"stat", "access", "read", "empty", "append", "removed", "mode", "moved", "labelled",
          "target", "opened", "listed/a", "list-in/b", "dir/inner", "unseen/doc", "replaced"})
      file(std::string("p/") + name, std::string(name) == "empty" ? "" : std::string(name) + "\n");
    file("p/exec", "#!/bin/sh\necho executed\n", 0755);
    tree.put_symlink("p/link", "target");
    tree.find("p/labelled")->set_label("a:b:c:s0");
  }
  Job job() const {
    return {.name = "probe",
            .script =
                "cd /p; stat -c %s stat; [ -r access ] && echo readable; cat read empty\n"
                "[ -e absent ] || echo absent; readlink link; cat link; ls listed; ./exec\n"
                "exec 5< opened; exec 5<&-; [ -e dir/inner ]; [ -e dir/none ]\n"
                "echo more >> append; rm removed; chmod 600 mode; mv moved elsewhere\n"
                "getfattr --only-values -n security.selinux labelled\n"
                "getfattr -n security.capability labelled\n"
                "echo new > replaced; exit 0\n",
            .script_args = {"1"},
            .input = "in",
            .env = {{"A", "1"}},
            .files = {{"/run/extra", "x", 0644}}};
  }
  Result run(const Job& job, std::uint64_t limit = 1 << 30) {
    return sandbox::Sandbox(tree, opener(),
                            {.work_dir = work.path(), .memo_dir = memo, .memo_limit_bytes = limit})
        .run(job);
  }
  // Another tree that remembers what this one does.
  void remember_from(const Probe& other) {
    fs::copy(other.memo, memo, fs::copy_options::recursive);
  }
};

std::vector<std::tuple<int, std::string, tree::Meta, bool, std::string, Digest>> values(
    const Result& result) {
  std::vector<std::tuple<int, std::string, tree::Meta, bool, std::string, Digest>> all;
  for (const Change& c : result.changes) {
    all.emplace_back(static_cast<int>(c.kind), c.path, c.meta, c.opaque, c.target, c.digest);
    if (c.kind == Change::Kind::File)
      CHECK(sha256(read_fd(c.open_content().get(), c.path)) == c.digest);
  }
  return all;
}

std::vector<fs::path> files_of(const fs::path& dir) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(dir))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

void age(const fs::path& dir, int hours) {
  for (const auto& file : files_of(dir)) {
    struct stat st;
    REQUIRE(stat(file.c_str(), &st) == 0);
    const timespec times[2] = {{st.st_mtim.tv_sec - hours * 3600, 0},
                               {st.st_mtim.tv_sec - hours * 3600, 0}};
    REQUIRE(utimensat(AT_FDCWD, file.c_str(), times, 0) == 0);
  }
}

}  // namespace

TEST_CASE("A command is replayed only while nothing it looked at has changed", "[sandbox][memo]") {
  Probe first;
  const Result recorded = first.run(first.job());
  INFO(recorded.output);
  REQUIRE(recorded.ok());
  REQUIRE_FALSE(recorded.replayed);
  const Result again = first.run(first.job());
  CHECK(again.replayed);
  CHECK(again.output == recorded.output);
  CHECK(values(again) == values(recorded));
  CHECK(recorded.changes.size() == 6);

  using Edit = std::function<void(Probe&)>;
  const std::vector<std::pair<std::string, Edit>> seen{
      {"size of a file that was only stat'ed",
       [](Probe& p) { p.file("p/stat", "longer than before"); }},
      {"mode", [](Probe& p) { p.tree.find("p/stat")->chmod(0600); }},
      {"owner", [](Probe& p) { p.tree.find("p/access")->chown(1, 0); }},
      {"mode of a directory on the way", [](Probe& p) { p.tree.find("p")->chmod(0700); }},
      {"content of the same size", [](Probe& p) { p.file("p/read", "READ\n"); }},
      {"content of an empty file", [](Probe& p) { p.file("p/empty", "no more"); }},
      {"a name that was absent", [](Probe& p) { p.file("p/absent", ""); }},
      {"a name that was absent below", [](Probe& p) { p.file("p/dir/none", ""); }},
      {"a name that was there", [](Probe& p) { p.tree.remove("p/dir/inner"); }},
      {"where a link points", [](Probe& p) { p.tree.put_symlink("p/link", "read"); }},
      {"content behind a link", [](Probe& p) { p.file("p/target", "TARGET\n"); }},
      {"a new name in a listing", [](Probe& p) { p.file("p/listed/b", ""); }},
      {"a type in a listing", [](Probe& p) { p.tree.put_symlink("p/listed/a", "x"); }},
      {"the program", [](Probe& p) { p.file("p/exec", "#!/bin/sh\necho EXECUTED\n", 0755); }},
      {"capabilities that were asked for",
       [](Probe& p) {
         tree::Meta meta = *p.tree.find("p/labelled")->meta;
         meta.capability = std::string("\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
         p.tree.find("p/labelled")->meta = tree::intern(meta);
       }},
      {"a library or the shell",
       [](Probe& p) { p.file("usr/bin/busybox", p.read("usr/bin/busybox") + "x", 0755); }},
      {"a file it appends to", [](Probe& p) { p.file("p/append", "APPEND\n"); }},
      {"a file it changes the mode of", [](Probe& p) { p.file("p/mode", "MODE\n"); }},
      {"a file it moves", [](Probe& p) { p.file("p/moved", "MOVED\n"); }},
      {"a file it removes", [](Probe& p) { p.tree.remove("p/removed"); }},
      {"a label", [](Probe& p) { p.tree.find("p/labelled")->set_label("a:b:d:s0"); }},
  };
  for (const auto& [what, edit] : seen) {
    INFO(what);
    Probe other;
    other.remember_from(first);
    edit(other);
    CHECK_FALSE(other.run(other.job()).replayed);
    CHECK(other.run(other.job()).replayed);
  }

  Probe other;
  other.remember_from(first);
  other.file("p/unseen/doc", "changed");
  other.file("p/unseen/new", "new");
  other.file("p/list-in/c", "a name in a directory that was not listed");
  other.file("p/access", "ACCESS\n");
  other.file("p/opened", "OPENED\n");
  other.tree.find("etc/group")->chmod(0600);
  CHECK(other.run(other.job()).replayed);
}

TEST_CASE("What a job is given beside the tree is part of what is remembered", "[sandbox][memo]") {
  Probe probe;
  REQUIRE(probe.run(probe.job()).ok());
  const std::vector<std::function<void(Job&)>> edits{
      [](Job& job) { job.script += "\n"; },
      [](Job& job) { job.script_args = {"2"}; },
      [](Job& job) { job.argv = {"/usr/bin/sh"}; },
      [](Job& job) { job.input = "other"; },
      [](Job& job) { job.env["A"] = "2"; },
      [](Job& job) { job.files[0].content = "y"; },
      [](Job& job) { job.files[0].mode = 0600; },
      [](Job& job) { job.read_only_usr = true; },
      [](Job& job) {
        job.binds = {{"/usr/share", "/run/share", ""}};
      },
      [](Job& job) { job.memoise = false; },
  };
  for (std::size_t i = 0; i < edits.size(); ++i) {
    INFO("edit " << i);
    Job job = probe.job();
    edits[i](job);
    CHECK_FALSE(probe.run(job).replayed);
    CHECK(probe.run(job).replayed == (i < 8));
  }
  Job renamed = probe.job();
  renamed.name = "other";
  std::string streamed;
  renamed.on_output = [&](std::string_view text) { streamed += text; };
  CHECK(probe.run(renamed).replayed);
  CHECK_THAT(streamed, Catch::Contains("executed\n"));
}

TEST_CASE("A replay changes also what the first tree already had", "[sandbox][memo]") {
  Probe first;
  first.file("p/replaced", "new\n");
  const Job job{.name = "truncate", .script = "echo new > /p/replaced"};
  CHECK(first.run(job).changes.empty());
  Probe other;
  other.remember_from(first);
  other.file("p/replaced", "old\n");
  const Result result = other.run(job);
  CHECK(result.replayed);  // it never read what it overwrote
  REQUIRE(result.changes.size() == 1);
  CHECK(result.changes[0].path == "p/replaced");
  CHECK(read_fd(result.changes[0].open_content().get(), "") == "new\n");
}

TEST_CASE("Failures are run again", "[sandbox][memo]") {
  Probe probe;
  const Job job{.name = "fails", .script = "echo x > /etc/x; exit 1"};
  CHECK(probe.run(job).exit_status == 1);
  const Result again = probe.run(job);
  CHECK(again.exit_status == 1);
  CHECK_FALSE(again.replayed);
}

TEST_CASE("Damaged memories are run again and replaced", "[sandbox][memo]") {
  Probe probe;
  const Job job{.name = "writes", .script = "cat /p/read > /etc/copy; echo 2 > /etc/two"};
  const auto expected = values(probe.run(job));
  REQUIRE(probe.run(job).replayed);
  const auto files = files_of(probe.memo);
  REQUIRE(files.size() == 3);
  for (const auto& file : files) {
    const std::string good = read_file(file);
    std::string flipped = good;
    flipped[good.size() / 2] = static_cast<char>(flipped[good.size() / 2] ^ 1);
    for (const std::string& bad :
         {flipped, good.substr(0, good.size() / 2), std::string(), good + "x"}) {
      INFO(file << " with " << bad.size() << " bytes");
      std::ofstream(file, std::ios::trunc) << bad;
      const Result result = probe.run(job);
      CHECK_FALSE(result.replayed);
      CHECK(values(result) == expected);
      CHECK(probe.run(job).replayed);
    }
    fs::remove(file);
    CHECK_FALSE(probe.run(job).replayed);
    CHECK(probe.run(job).replayed);
  }
}

TEST_CASE("The memo stays within its limit; what was not used longest goes", "[sandbox][memo]") {
  Probe probe;
  const auto job = [](int i) {
    return Job{.name = "big",
               .script = "echo " + std::to_string(i) +
                         " > /etc/n; head -c 100000 /dev/zero | tr '\\0' " + std::to_string(i) +
                         " > /etc/big"};
  };
  for (int i = 1; i <= 3; ++i) {
    CHECK_FALSE(probe.run(job(i), 250'000).replayed);
    age(probe.memo, 2);
    if (i == 2) CHECK(probe.run(job(1), 250'000).replayed);  // used last now
  }
  CHECK(probe.run(job(1), 250'000).replayed);
  CHECK(probe.run(job(3), 250'000).replayed);
  std::uintmax_t bytes = 0;
  for (const auto& file : files_of(probe.memo)) bytes += fs::file_size(file);
  CHECK(bytes < 250'000);
  CHECK_FALSE(probe.run(job(2), 250'000).replayed);
}

TEST_CASE("A memo that cannot be written does not stop a command", "[sandbox][memo]") {
  Probe probe;
  probe.memo = probe.contents.path() / to_hex(sha256("")) / "memo";  // below a file
  CHECK(probe.run(probe.job()).ok());
  CHECK_FALSE(probe.run(probe.job()).replayed);
}
