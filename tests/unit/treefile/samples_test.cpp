// SPDX-License-Identifier: LGPL-2.1-or-later
// The treefiles we ship, and what happens to them when they are damaged.
#include <catch2/catch.hpp>
#include <chrono>
#include <random>

#include "treefile/files.hpp"
#include "treefile/lockfile.hpp"

using namespace atomichost;
using namespace atomichost::treefile;
namespace fs = std::filesystem;

namespace {

Treefile sample(const std::string& name, const std::string& basearch = "x86_64") {
  return load(fs::path(TREEFILES_DIR) / name, {basearch});
}

bool has(const Texts& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

// Loads a damaged file: any Error is fine, anything else is not.
void load_damaged(const fs::path& path) {
  try {
    const Treefile t = load(path, {"x86_64"});
    (void)canonical_json(t);
  } catch (const Error& e) {
    CHECK(std::string(e.what()).find(path.parent_path().string()) != std::string::npos);
  }
}

}  // namespace

TEST_CASE("each shipped treefile loads, for each architecture") {
  int loaded = 0;
  for (const auto& entry : fs::recursive_directory_iterator(TREEFILES_DIR)) {
    const std::string extension = entry.path().extension();
    if (extension != ".yaml" && extension != ".json") continue;
    for (const char* basearch : {"x86_64", "aarch64", "s390x"}) {
      INFO(entry.path() << " for " << basearch);
      const Treefile t = load(entry.path(), {basearch});
      CHECK(t.warnings.empty());
      CHECK_FALSE(t.packages.empty());
      ++loaded;
    }
  }
  CHECK(loaded >= 24);
}

TEST_CASE("the Fedora samples mean what their comments say") {
  const Treefile iot = sample("fedora/iot.yaml");
  CHECK(iot.ref == "fedora/41/x86_64/iot-stable");
  CHECK(iot.repos == Texts{"fedora", "fedora-updates"});
  CHECK(iot.boot_location == BootLocation::Modules);
  CHECK(iot.units.back() == "firewalld.service");
  CHECK(has(iot.packages, "podman >= 4.9"));
  CHECK(has(iot.packages, "shim-x64"));
  CHECK(has(iot.packages, "mcelog"));
  CHECK(has(iot.packages, "fwupd"));
  CHECK_FALSE(has(iot.packages, "strace"));
  CHECK(iot.add_commit_metadata.at("org.example.stream") == "\"stable\"");
  CHECK_FALSE(has(sample("fedora/iot.yaml", "s390x").packages, "fwupd"));
  CHECK(has(sample("fedora/iot.yaml", "aarch64").packages, "shim-aa64"));

  const Treefile desktop = sample("fedora/silverblue.yaml");
  CHECK(desktop.ref == "fedora/41/x86_64/silverblue-stable");
  CHECK(has(desktop.packages, "gnome-shell"));
  CHECK(desktop.units ==
        Texts{"gdm.service", "sshd.service", "chronyd.service", "NetworkManager.service"});
}

TEST_CASE("the Fedora samples follow the testing stream as their README says") {
  Files files;
  fs::copy(fs::path(TREEFILES_DIR) / "fedora", files / "fedora");
  const std::string text = read_file(files / "fedora/iot.yaml");
  files.write("fedora/iot.yaml", text + "\nvariables: {stream: testing}\n");
  const Treefile t = files.load("fedora/iot.yaml");
  CHECK(t.ref == "fedora/41/x86_64/iot-testing");
  CHECK(has(t.packages, "strace"));
  CHECK(t.repos == Texts{"fedora-updates-testing", "fedora", "fedora-updates"});
}

TEST_CASE("the CentOS Stream samples mean what their comments say") {
  const Treefile host = sample("centos-stream/host.json");
  CHECK(host.ref == "centos-stream/9/x86_64/host");
  CHECK(host.default_target == "multi-user.target");
  CHECK(host.units.front() == "sshd.service");
  CHECK(host.check_passwd.type == AccountCheck::Type::File);
  CHECK(host.postprocess_script.value().path.filename() == "postprocess.sh");
  CHECK(host.automatic_version_prefix == "9.<date:%Y%m%d>");
  CHECK(sample("centos-stream/base.json").ref == "centos-stream/9/x86_64/base");
}

TEST_CASE("damaged treefiles give errors, never crashes") {
  Files files;
  std::mt19937 random(20240229);  // the same damage in every run
  auto below = [&random](std::size_t n) { return random() % n; };
  for (const auto& entry : fs::recursive_directory_iterator(TREEFILES_DIR)) {
    const std::string extension = entry.path().extension();
    if (extension != ".yaml" && extension != ".json") continue;
    const std::string good = read_file(entry.path());
    for (int round = 0; round < 150; ++round) {
      std::string bad = good;
      switch (below(4)) {
        case 0:  // flipped bits
          for (std::size_t i = 0; i <= below(4); ++i)
            bad[below(bad.size())] ^= static_cast<char>(1U << below(8));
          break;
        case 1:  // cut off
          bad.resize(below(bad.size()));
          break;
        case 2: {  // a piece moved elsewhere
          const std::size_t from = below(bad.size());
          const std::string piece = bad.substr(from, below(200));
          bad.insert(below(bad.size()), piece);
          break;
        }
        default:  // signs that mean something
          for (std::size_t i = 0; i <= below(4); ++i)
            bad.insert(below(bad.size()), 1, "[]{}:,-?&*!|>'\"%@`# \n\t$<"[below(25)]);
      }
      INFO("round " << round << " of " << entry.path());
      load_damaged(files.write("damaged" + extension, bad));
    }
  }
}

TEST_CASE("hostile files are turned down quickly") {
  Files files;
  const auto begin = std::chrono::steady_clock::now();
  // Aliases of aliases: 10^9 entries if they were written out.
  std::string bomb = "metadata:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i <= 9; ++i) {
    const std::string name = "a" + std::to_string(i);
    const std::string inner = "*a" + std::to_string(i - 1);
    bomb += "  " + name + ": &" + name + " [" + inner;
    for (int j = 1; j < 10; ++j) bomb += ", " + inner;
    bomb += "]\n";
  }
  CHECK_THAT(files.yaml_error(bomb), Catch::Contains("aliases make this file too large"));
  auto repeat = [](const std::string& piece, int n) {
    std::string text;
    for (int i = 0; i < n; ++i) text += piece;
    return text;
  };
  for (const char* piece :
       {"[",  "{a: ", "- ", "{\"a\":[", "? ",    "[{", "a: [", "&a ",  "!a ",   "!<a> ",
        "\"", "'",    "| ", "%",        "%TAG ", "*",  ", ",   "<<: ", "\n---", "${"}) {
    INFO(piece);
    CHECK_FALSE(files.yaml_error("metadata: " + repeat(piece, 20000)).empty());
    CHECK_FALSE(files.json_error(repeat(piece, 20000)).empty());
  }
  CHECK_THAT(files.yaml_error("metadata: " + repeat("[", 65) + repeat("]", 65)),
             Catch::Contains("nested too deeply"));
  CHECK_THAT(files.yaml_error("metadata: &a [*a]\n"), Catch::Contains("t.yaml:1:"));
  // Deep through aliases, without a deep line.
  std::string chain = "metadata:\n  a0: &a0 [x]\n";
  for (int i = 1; i <= 70; ++i)
    chain += "  a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" +
             std::to_string(i - 1) + "]\n";
  CHECK_THAT(files.yaml_error(chain), Catch::Contains("nested too deeply"));
  CHECK_THAT(files.yaml_error("ref: " + std::string(5U << 20, 'a')),
             Catch::Contains("larger than"));
  std::string many = "metadata:\n";
  for (int i = 0; i < 60000; ++i) many += "  k" + std::to_string(i) + ": 1\n";
  CHECK_THAT(files.yaml_error(many), Catch::Contains("too many entries"));
  // Generous: this is about seconds against hours.
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(60));
}
