// SPDX-License-Identifier: LGPL-2.1-or-later
#include "importer/read_files.hpp"

#include <sys/stat.h>

#include "base/error.hpp"
#include "importer/cpio.hpp"
#include "importer/payload.hpp"

namespace atomichost::importer {
namespace {

std::map<int, std::string> read(const rpm::Package& package, const std::set<int>& files) {
  std::map<std::string, int, std::less<>> by_name;
  for (const int index : files)
    by_name[package.files().at(static_cast<std::size_t>(index)).path] = index;
  PayloadScratch scratch;
  Payload payload(package, scratch, nullptr);
  CpioReader reader([&] { return payload.read(); });
  std::map<int, std::string> contents;
  CpioReader::Entry entry;
  while (reader.next(entry)) {
    int index = -1;
    if (entry.index) {
      const auto& file = package.files().at(*entry.index);
      if (S_ISREG(file.mode)) reader.expect(file.size);
      index = static_cast<int>(*entry.index);
    } else {
      const std::string_view name = entry.name;
      const auto it = by_name.find(name.starts_with('.') ? name.substr(1) : name);
      if (it != by_name.end()) index = it->second;
    }
    if (!files.count(index)) continue;
    auto& content = contents[index];
    for (auto piece = reader.data(); !piece.empty(); piece = reader.data()) content += piece;
    if (content.size() != package.files()[static_cast<std::size_t>(index)].size)
      throw Error(ErrorCode::Corrupt, package.files()[static_cast<std::size_t>(index)].path +
                                          ": header and payload disagree about its size");
  }
  payload.check_digest();
  for (const int index : files)
    if (!contents.count(index))
      throw Error(ErrorCode::Corrupt, package.files()[static_cast<std::size_t>(index)].path +
                                          ": is not in the payload");
  return contents;
}

}  // namespace

std::map<int, std::string> read_files(const rpm::Package& package, const std::set<int>& files) {
  return with_context("Package " + package.nevra().str(), [&] { return read(package, files); });
}

}  // namespace atomichost::importer
