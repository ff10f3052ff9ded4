// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

#include <map>
#include <string>
#include <vector>

#include "rpm/package.hpp"
#include "selinux/labeler.hpp"
#include "tree/tree.hpp"
#include "users/accounts.hpp"

/// assemble/ turns a set of packages into one tree and finishes it: plan (this header), scripts,
/// postprocess, /var, boot, layout. Used by the compose and, later, by host layering. Everything
/// happens in the tree in memory and in the object store; there is no root directory on disk. Not
/// thread-safe: one tree, one thread.
namespace atomichost::assemble {

/// Which files of the packages are wanted.
struct PlanOptions {
  bool documentation = true;               ///< false: files marked %doc are left out
  std::vector<std::string> install_langs;  ///< languages to keep ("de", "en_US"); empty keeps all
  /// package name -> regular expressions (GRegex), searched in the path as the package names it
  /// ("/lib/x")
  std::vector<std::pair<std::string, std::vector<std::string>>> remove_from_packages;
};

/// A file whose owner is known by name only; looked up once the account files are there.
struct Owner {
  std::string path;  ///< in the tree
  std::int32_t package = -1;
  std::string user;
  std::string group;
};

struct Plan {
  tree::Tree tree;
  /// [package][header file index] -> its node, nullptr where the file is not wanted or another
  /// package's.
  std::vector<std::vector<tree::Node*>> nodes;
  /// [package][header file index]: not wanted by the options (documentation, languages,
  /// remove-from-packages).
  std::vector<std::vector<bool>> left_out;
  std::vector<Owner> owners;       ///< all that do not belong to root:root
  std::vector<std::string> notes;  ///< package files that cannot be kept, one line each
};

/// Lay the files of @p packages (in install order, as librpm would unpack them) out in one tree,
/// from the headers alone. Entries are root:root until resolve_owners().
/// @throws Error InvalidInput: packages own the same path with different content; a regular
/// expression of remove_from_packages is wrong or names a package that is not there.
[[nodiscard]] Plan make_plan(const std::vector<const rpm::Package*>& packages,
                             const PlanOptions& options);

/// Names to numbers.
struct Accounts {
  std::map<std::string, std::uint32_t, std::less<>> users{{"root", 0}};
  std::map<std::string, std::uint32_t, std::less<>> groups{{"root", 0}};
  Accounts() = default;
  explicit Accounts(const users::Accounts& accounts) { add(accounts); }
  /// Names already known keep their number.
  void add(const users::Accounts& accounts);
};

/// Give every entry of @p owners that is still its package's the uid and gid of its names.
/// @return the names that are not known yet ("user x", "group y"), each once.
std::vector<std::string> resolve_owners(tree::Tree& tree, const std::vector<Owner>& owners,
                                        const Accounts& accounts);

/// Label every node by its path on the running host. @return how many labels changed.
std::size_t apply_labels(tree::Tree& tree, const selinux::Labeler& labeler);

/// What the policy leaves without a label (a mount point such as /proc) gets its directory's, as a
/// file created there would.
void inherit_labels(tree::Tree& tree);

}  // namespace atomichost::assemble
