// SPDX-License-Identifier: LGPL-2.1-or-later
// The import alone: packages into a repository and one commit, without solving or scripts.
// import --repo=DIR [--mode=bare-user] [--memo=DIR] [--threads=N] [--label=L]
// PACKAGE.rpm|DIRECTORY...
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/parallel.hpp"
#include "importer/importer.hpp"
#include "ostree/object_store.hpp"
#include "ostree/repo.hpp"
#include "rpm/package.hpp"
#include "tree/tree.hpp"

using namespace atomichost;
namespace fs = std::filesystem;

namespace {

// The first package to name a path has it; directories above are made as needed.
void plan(importer::Import& job, tree::Tree& tree, const std::string& label) {
  for (const rpm::File& file : job.package->files()) {
    tree::Node*& slot = job.nodes.emplace_back(nullptr);
    if (file.ghost || !(S_ISREG(file.mode) || S_ISLNK(file.mode) || S_ISDIR(file.mode))) continue;
    const std::string path = tree.canonical_parent(file.path);
    if (const tree::Node* there = tree.find(path); there) continue;
    tree::Node& node = tree.put(
        path, tree::make_node({.mode = file.mode, .label = label, .capability = file.capability}));
    node.target = file.target;
    if (!S_ISDIR(file.mode)) slot = &node;
  }
}

int run(const std::vector<std::string>& arguments) {
  std::map<std::string, std::string> options{
      {"repo", ""},
      {"mode", "bare-user"},
      {"memo", ""},
      {"threads", std::to_string(std::thread::hardware_concurrency())},
      {"label", "system_u:object_r:usr_t:s0"}};
  std::vector<fs::path> files;
  for (const std::string& argument : arguments) {
    if (argument.starts_with("--")) {
      const auto equals = argument.find('=');
      options.at(argument.substr(2, equals - 2)) = argument.substr(equals + 1);
    } else if (fs::is_directory(argument)) {
      for (const auto& entry : fs::recursive_directory_iterator(argument))
        if (entry.path().extension() == ".rpm") files.push_back(entry.path());
    } else {
      files.emplace_back(argument);
    }
  }
  // "filesystem" and its links first; the rest by name.
  std::sort(files.begin(), files.end(), [](const fs::path& a, const fs::path& b) {
    auto key = [](const fs::path& p) {
      const std::string name = p.filename();
      return std::pair{!name.starts_with("filesystem-"), name};
    };
    return key(a) < key(b);
  });
  const std::size_t threads = std::stoul(options["threads"]);
  if (!fs::exists(options["repo"])) (void)ostree::Repo::create(options["repo"], options["mode"]);

  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  auto last = start;
  std::string phases;
  auto lap = [&](const char* name) {
    phases += fmt::format(", \"{}\": {:.3f}", name,
                          std::chrono::duration<double>(Clock::now() - last).count());
    last = Clock::now();
  };
  std::vector<std::optional<rpm::Package>> packages(files.size());
  parallel_for(threads, files.size(), [&](std::size_t, std::size_t i) {
    packages[i] = rpm::Package::read(files[i], nullptr);
  });
  lap("headers");
  tree::Tree tree;
  std::vector<importer::Import> jobs;
  for (const auto& package : packages) {
    jobs.push_back({.package = &*package});
    plan(jobs.back(), tree, options["label"]);
  }
  lap("plan");
  const auto store = ostree::ObjectStore::open(options["repo"]);
  const importer::Memo memo(options["memo"]);
  Progress quiet;
  const auto imported = importer::import_all(jobs, *store, memo, threads, quiet);
  lap("import");
  const auto root = store->put_tree(tree, threads);
  lap("tree");
  store->publish();
  lap("publish");
  auto repo = ostree::Repo::open(options["repo"]);
  const std::string commit =
      repo.write_commit({.root = root, .subject = "import", .timestamp_s = 1700000000});
  repo.set_ref("bench", commit);
  lap("commit");
  const double wall = std::chrono::duration<double>(Clock::now() - start).count();
  rusage use;
  getrusage(RUSAGE_SELF, &use);
  auto seconds = [](timeval t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  const auto counters = store->counters();
  fmt::print(
      "{{\"import_seconds\": {:.3f}, \"user\": {:.3f}, \"system\": {:.3f}, \"peak_mb\": {}, "
      "\"packages\": {}, \"read\": {}, \"written\": {}, \"existing\": {}, \"bytes\": {}{}, "
      "\"commit\": \"{}\"}}\n",
      wall, seconds(use.ru_utime), seconds(use.ru_stime), use.ru_maxrss / 1024, packages.size(),
      imported.read, counters.written, counters.existing, counters.bytes, phases, commit);
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  return run({argv + 1, argv + argc});
} catch (const std::exception& e) {
  fmt::print(stderr, "import: {}\n", e.what());
  return 1;
}
