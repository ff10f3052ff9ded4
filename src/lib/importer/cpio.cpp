// SPDX-License-Identifier: LGPL-2.1-or-later
#include "importer/cpio.hpp"

#include <algorithm>
#include <charconv>

#include "base/error.hpp"

namespace atomichost::importer {
namespace {

constexpr std::size_t kHeaderSize = 110;
constexpr std::size_t kStrippedSize = 14;
constexpr std::size_t kLongestName = 4096 + 16;

[[noreturn]] void damaged(const char* how) {
  throw Error(ErrorCode::Corrupt, std::string("its payload is damaged: ") + how);
}

std::uint32_t hex_field(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{} || end != text.data() + text.size())
    damaged("bad number in an archive header");
  return value;
}

}  // namespace

std::string_view CpioReader::data() {
  if (!left_) return {};
  if (block_.empty()) block_ = pull_();
  if (block_.empty()) damaged("it ends early");
  const std::string_view piece = block_.substr(0, left_);
  block_.remove_prefix(piece.size());
  left_ -= piece.size();
  position_ += piece.size();
  return piece;
}

// @p size bytes in one place; copied only where a piece ends inside.
std::string_view CpioReader::take(std::size_t size) {
  if (block_.size() >= size) {
    const std::string_view piece = block_.substr(0, size);
    block_.remove_prefix(size);
    position_ += size;
    return piece;
  }
  carry_.clear();
  for (left_ = size; left_;) carry_ += data();
  return carry_;
}

void CpioReader::align() {
  if (position_ % 4) (void)take(4 - position_ % 4);
}

bool CpioReader::next(Entry& entry) {
  while (!data().empty()) {
  }
  align();
  const std::string magic(take(6));
  entry = {};
  if (magic == "07070X") {
    entry.index = hex_field(take(kStrippedSize - 6));
    align();
    return true;
  }
  if (magic != "070701" && magic != "070702") damaged("no archive header where one should be");
  const std::string_view header = take(kHeaderSize - 6);
  const auto field = [&](std::size_t i) { return hex_field(header.substr(8 * i, 8)); };
  entry.size = field(6);
  const std::uint32_t name_size = field(11);
  if (name_size < 2 || name_size > kLongestName) damaged("impossible length of a name");
  const std::string_view name = take(name_size);
  entry.name = name.substr(0, std::min(name.find('\0'), name.size()));
  align();
  if (entry.name == "TRAILER!!!") return false;
  left_ = entry.size;
  return true;
}

}  // namespace atomichost::importer
