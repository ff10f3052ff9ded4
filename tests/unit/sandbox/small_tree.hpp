// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <fcntl.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "base/file.hpp"
#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "base/subprocess.hpp"
#include "sandbox/sandbox.hpp"
#include "tree/tree.hpp"

namespace atomichost::test {

/// A tree with a shell and its tools, and a place where contents are found by digest.
class SmallTree {
 public:
  SmallTree() {
    for (const char* dir :
         {"dev", "proc", "sys", "run", "etc", "root", "usr/bin", "usr/lib", "var/lib"})
      tree.make_dir(dir);
    tree.make_dir("tmp", 01777);
    tree.make_dir("var/tmp", 01777);
    tree.put_symlink("bin", "usr/bin");
    tree.put_symlink("lib", "usr/lib");
    tree.put_symlink("lib64", "usr/lib");
    host_file("usr/bin/busybox", "/usr/bin/busybox");
    for (const char* tool :
         {"sh",     "cat",  "ls",    "rm",       "mv",     "mkdir",    "rmdir", "chmod",
          "chown",  "ln",   "touch", "readlink", "stat",   "sleep",    "id",    "env",
          "wget",   "dd",   "mknod", "mkfifo",   "setsid", "kill",     "true",  "false",
          "head",   "find", "sed",   "grep",     "wc",     "hostname", "ip",    "mount",
          "chroot", "tail", "cp",    "test",     "tr",     "sort",     "ps"})
      tree.put_symlink(std::string("usr/bin/") + tool, "busybox");
    file("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    file("etc/group", "root:x:0:\n");
  }

  tree::Node& file(const std::string& path, const std::string& content, std::uint32_t mode = 0644) {
    auto node = tree::make_node({.mode = S_IFREG | mode});
    node->size = content.size();
    node->content = sha256(content);
    std::ofstream(contents.path() / to_hex(node->content)) << content;
    return tree.put(path, std::move(node));
  }
  tree::Node& host_file(const std::string& path, const std::string& host_path) {
    return file(path, read_file(host_path), 0755);
  }

  /// A dynamically linked program of the build host, with its libraries.
  void host_program(const std::string& host_path) {
    host_file(host_path, host_path);
    const auto listing =
        run_command({.argv = {host_path},
                     .env = std::map<std::string, std::string>{{"LD_TRACE_LOADED_OBJECTS", "1"}}});
    for (const auto& word : split_whitespace(listing.output))
      if (word.starts_with('/')) {
        const auto at = tree.canonical_parent(word);
        if (!tree.find(at)) host_file(at, word);
      }
  }

  [[nodiscard]] sandbox::ContentOpener opener() const {
    return [this](const tree::Node& node) {
      return open_at(AT_FDCWD, contents.path() / to_hex(node.content), O_RDONLY);
    };
  }
  /// For apply(): keeps the content as an object store would.
  [[nodiscard]] sandbox::PutContent put() {
    return [this](const std::string& path, tree::Node& node, int content) {
      if (content >= 0)
        std::ofstream(contents.path() / to_hex(node.content)) << read_fd(content, path);
      node.stored = node.meta;
    };
  }
  [[nodiscard]] std::string read(const std::string& path) const {
    const tree::Node* node = tree.find(path);
    return node ? read_file(contents.path() / to_hex(node->content)) : "(not there)";
  }

  tree::Tree tree;
  TempDir contents;
};

}  // namespace atomichost::test
