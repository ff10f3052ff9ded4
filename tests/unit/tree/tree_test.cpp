// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tree/tree.hpp"

#include <catch2/catch.hpp>

#include "base/error.hpp"

using namespace atomichost;
using tree::Tree;

TEST_CASE("equal metadata is one object", "[tree]") {
  CHECK(tree::intern({.uid = 7, .mode = S_IFREG | 0644}) ==
        tree::intern({.uid = 7, .mode = S_IFREG | 0644}));
  CHECK(tree::intern({.uid = 7}) != tree::intern({.uid = 8}));
}

TEST_CASE("nodes are put, found, moved and taken out by path", "[tree]") {
  Tree t;
  t.put("usr/bin/a", tree::make_node({.mode = S_IFREG | 0755}));
  CHECK(t.find("/usr/bin/a"));
  t.move("usr/bin/a", "opt/x/b");
  CHECK_FALSE(t.find("usr/bin/a"));
  CHECK(t.find("opt/x/b"));
  CHECK(t.remove("opt"));
  CHECK_FALSE(t.find("opt/x/b"));
  CHECK_THROWS_AS((t.put_symlink("bin", "usr/bin"), t.make_dir("bin/x")), Error);
}

TEST_CASE("links inside the tree are followed, loops and dangling ones end in nothing", "[tree]") {
  Tree t;
  t.put("usr/bin/sh", tree::make_node({.mode = S_IFREG | 0755}));
  t.put_symlink("bin", "usr/bin");
  t.put_symlink("abs", "/usr/bin");
  t.put_symlink("usr/up", "../bin");
  t.put_symlink("loop", "loop");
  CHECK(t.resolve("bin/sh") == t.find("usr/bin/sh"));
  CHECK(t.resolve("abs/sh") == t.find("usr/bin/sh"));
  CHECK(t.resolve("usr/up/sh") == t.find("usr/bin/sh"));
  CHECK(t.resolve("bin", false) == t.find("bin"));
  CHECK_FALSE(t.resolve("loop"));
  CHECK_FALSE(t.resolve("bin/none"));
  CHECK(t.canonical_parent("bin/new/file") == "usr/bin/new/file");
  CHECK(t.canonical_parent("/bin/sh") == "usr/bin/sh");
  CHECK(t.canonical_parent("bin") == "bin");
}

TEST_CASE("a walk shows parents first, in bytewise order", "[tree]") {
  Tree t;
  t.make_dir("b/c");
  t.make_dir("a");
  std::string seen;
  t.walk([&](const std::string& path, const tree::Node&) { seen += "[" + path + "]"; });
  CHECK(seen == "[][a][b][b/c]");
}
