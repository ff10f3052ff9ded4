// SPDX-License-Identifier: LGPL-2.1-or-later
// The floor under every import: read, check, decompress and SHA-256 all payloads on all cores, and
// nothing else. bound [--threads=N] PACKAGE.rpm|DIRECTORY...
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/error.hpp"
#include "base/parallel.hpp"
#include "base/sha256.hpp"
#include "importer/payload.hpp"
#include "rpm/package.hpp"

using namespace atomichost;
namespace fs = std::filesystem;

namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int run(const std::vector<std::string>& arguments) {
  std::size_t threads = std::max(1u, std::thread::hardware_concurrency());
  std::vector<fs::path> files;
  for (const std::string& argument : arguments) {
    if (argument.starts_with("--threads=")) {
      threads = std::stoul(argument.substr(10));
    } else if (fs::is_directory(argument)) {
      for (const auto& entry : fs::recursive_directory_iterator(argument))
        if (entry.path().extension() == ".rpm") files.push_back(entry.path());
    } else {
      files.emplace_back(argument);
    }
  }
  std::sort(files.begin(), files.end(), [](const fs::path& a, const fs::path& b) {
    return fs::file_size(a) > fs::file_size(b);
  });
  std::vector<std::unique_ptr<importer::PayloadScratch>> scratches(threads);
  std::vector<std::unique_ptr<Sha256>> hashes(threads);
  for (std::size_t i = 0; i < threads; ++i) {
    scratches[i] = std::make_unique<importer::PayloadScratch>();
    hashes[i] = std::make_unique<Sha256>();
  }
  std::atomic<std::uint64_t> packed{0}, unpacked{0};
  const auto start = std::chrono::steady_clock::now();
  parallel_for(threads, files.size(), [&](std::size_t worker, std::size_t i) {
    const auto package = rpm::Package::read(files[i], nullptr);
    importer::Payload payload(package, *scratches[worker], nullptr);
    std::uint64_t size = 0;
    for (auto piece = payload.read(); !piece.empty(); piece = payload.read()) {
      hashes[worker]->update(piece);
      size += piece.size();
    }
    payload.check_digest();
    (void)hashes[worker]->finish();
    packed += fs::file_size(files[i]), unpacked += size;
  });
  fmt::print(
      "{{\"bound_seconds\": {:.3f}, \"threads\": {}, \"packages\": {}, \"bytes\": {}, "
      "\"unpacked_bytes\": {}}}\n",
      seconds_since(start), threads, files.size(), packed.load(), unpacked.load());
  return 0;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) {
    fmt::print(stderr, "usage: bound [--threads=N] PACKAGE.rpm|DIRECTORY...\n");
    return 2;
  }
  return run({argv + 1, argv + argc});
} catch (const std::exception& e) {
  fmt::print(stderr, "bound: {}\n", e.what());
  return 1;
}
