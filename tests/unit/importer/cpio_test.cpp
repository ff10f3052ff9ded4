// SPDX-License-Identifier: LGPL-2.1-or-later
#include "importer/cpio.hpp"

#include <fmt/format.h>

#include <catch2/catch.hpp>

#include "base/error.hpp"

using namespace atomichost;
using importer::CpioReader;

namespace {

void pad(std::string& archive) {
  archive.resize((archive.size() + 3) / 4 * 4);
}

void add(std::string& archive, const std::string& name, const std::string& content,
         const char* magic = "070701") {
  archive += magic;
  for (const std::size_t field :
       {std::size_t{1}, std::size_t{0100644}, std::size_t{0}, std::size_t{0}, std::size_t{1},
        std::size_t{0}, content.size(), std::size_t{0}, std::size_t{0}, std::size_t{0},
        std::size_t{0}, name.size() + 1, std::size_t{0}})
    archive += fmt::format("{:08x}", field);
  archive += name;
  archive += '\0';
  pad(archive);
  archive += content;
  pad(archive);
}

// Hands out @p data in pieces of @p size bytes.
std::function<std::string_view()> pieces(std::string_view data, std::size_t size) {
  return [data, size]() mutable {
    const auto piece = data.substr(0, size);
    data.remove_prefix(piece.size());
    return piece;
  };
}

std::string rest_of(CpioReader& reader) {
  std::string out;
  for (auto piece = reader.data(); !piece.empty(); piece = reader.data()) out += piece;
  return out;
}

}  // namespace

TEST_CASE("an archive reads the same, wherever its pieces end", "[importer][cpio]") {
  std::string archive;
  const std::string large(1000, 'x');
  add(archive, "./a", "one");
  add(archive, "./directory/with/a/long/name", "");
  add(archive, "./skipped", large);
  add(archive, "./last", large + "!", "070702");
  add(archive, "TRAILER!!!", "");
  for (const unsigned size : {1u, 2u, 3u, 5u, 7u, 64u, 111u, 4096u}) {
    CpioReader reader(pieces(archive, size));
    CpioReader::Entry entry;
    REQUIRE(reader.next(entry));
    CHECK(entry.name == "./a");
    CHECK(entry.size == 3);
    CHECK_FALSE(entry.index);
    CHECK(rest_of(reader) == "one");
    REQUIRE(reader.next(entry));
    CHECK(entry.name == "./directory/with/a/long/name");
    CHECK(rest_of(reader).empty());
    REQUIRE(reader.next(entry));
    CHECK(entry.name == "./skipped");
    REQUIRE(reader.next(entry));
    CHECK(entry.name == "./last");
    CHECK(rest_of(reader) == large + "!");
    CHECK_FALSE(reader.next(entry));
  }
}

TEST_CASE("a content inside one piece is handed out without a copy", "[importer][cpio]") {
  std::string archive;
  add(archive, "./a", "content");
  add(archive, "TRAILER!!!", "");
  CpioReader reader(pieces(archive, archive.size()));
  CpioReader::Entry entry;
  REQUIRE(reader.next(entry));
  const auto piece = reader.data();
  CHECK(piece == "content");
  CHECK(piece.data() == archive.data() + archive.find("content"));
}

TEST_CASE("stripped entries are found by index", "[importer][cpio]") {
  std::string archive;
  for (const auto& [index, content] :
       {std::pair{"00000002", "five!"}, {"0000000a", ""}, {"00000000", "x"}}) {
    archive += std::string("07070X") + index;
    pad(archive);
    archive += content;
    pad(archive);
  }
  add(archive, "TRAILER!!!", "");
  for (const unsigned size : {1u, 3u, 4096u}) {
    CpioReader reader(pieces(archive, size));
    CpioReader::Entry entry;
    REQUIRE(reader.next(entry));
    CHECK(entry.index == 2u);
    reader.expect(5);
    CHECK(rest_of(reader) == "five!");
    REQUIRE(reader.next(entry));
    CHECK(entry.index == 10u);
    REQUIRE(reader.next(entry));
    CHECK(entry.index == 0u);
    reader.expect(1);
    CHECK(rest_of(reader) == "x");
    CHECK_FALSE(reader.next(entry));
  }
}

TEST_CASE("a damaged archive is said to be damaged", "[importer][cpio]") {
  std::string archive;
  add(archive, "./a", "content");
  auto read_all = [](const std::string& data) {
    CpioReader reader(pieces(data, 50));
    CpioReader::Entry entry;
    while (reader.next(entry)) (void)rest_of(reader);
  };
  CHECK_THROWS_WITH(read_all(archive), Catch::Contains("ends early"));  // no trailer
  CHECK_THROWS_WITH(read_all(archive.substr(0, 100)), Catch::Contains("ends early"));
  CHECK_THROWS_WITH(read_all(std::string(200, 'z')), Catch::Contains("no archive header"));
  std::string bad = archive;
  bad[56] = 'q';
  CHECK_THROWS_WITH(read_all(bad), Catch::Contains("bad number"));
  bad = archive;
  bad.replace(6 + 11 * 8, 8, "7fffffff");
  CHECK_THROWS_WITH(read_all(bad), Catch::Contains("name"));
}
