// SPDX-License-Identifier: LGPL-2.1-or-later
#include <CLI/CLI.hpp>

#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "base/cancel.hpp"
#include "base/error.hpp"
#include "document.hpp"
#include "options.hpp"
#include "render.hpp"
#include "tree_command.hpp"

namespace {

using atomichost::CancelToken;
using atomichost::compose::TreeOptions;

CancelToken g_cancel;

extern "C" void on_signal(int number) {
  // The second one means it: whatever is half-done lies in temporary places.
  if (g_cancel.is_cancelled()) {
    signal(number, SIG_DFL);
    raise(number);
  }
  g_cancel.cancel();
}

void define_tree(CLI::App& app, TreeOptions& o) {
  app.add_option("TREEFILE", o.treefile, "Treefile, YAML or JSON")->required();
  app.add_option("-r,--repo", o.repo,
                 "Repository that takes the commit (mode archive or bare-user)")
      ->type_name("DIRECTORY");
  app.add_option("--cachedir", o.cachedir,
                 "Keep downloads, imports and remembered program runs here")
      ->type_name("DIRECTORY");
  app.add_option("--workdir", o.workdir, "Put temporary files here (default: the cache directory)")
      ->type_name("DIRECTORY");
  app.add_option("--source-root", o.source_root,
                 "Take .repo files from etc/yum.repos.d below DIRECTORY")
      ->type_name("DIRECTORY");
  app.add_flag("--unified-core", o.unified_core,
               "Accepted for compatibility; there is no other way");
  app.add_flag("--force-nocache", o.force_nocache,
               "Compose even if nothing changed, and from scratch");
  app.add_flag("--cache-only", o.cache_only, "Use no network: only what the cache directory holds");
  app.add_flag("--download-only,--download-only-rpms", o.download_only,
               "Download and verify the packages, then stop");
  app.add_flag("--dry-run", o.dry_run, "Resolve and print the packages, then stop");
  app.add_flag("--print-only", o.print_only,
               "Print the treefile with all includes merged, then stop");
  app.add_option("--proxy", o.proxy, "HTTP proxy for repositories that name none")
      ->type_name("URL");
  app.add_flag("--disable-selinux", o.disable_selinux, "Label nothing, whatever the treefile says");
  app.add_option("--touch-if-changed", o.touch_if_changed, "Touch FILE when a new commit was made")
      ->type_name("FILE");
  app.add_option("--previous-commit", o.previous_commit,
                 "Compare with this commit instead of the ref's")
      ->type_name("COMMIT");
  app.add_option("--previous-inputhash", o.previous_inputhash, "Compare with this input hash")
      ->type_name("HASH");
  app.add_option("--previous-version", o.previous_version, "Count the version up from this one")
      ->type_name("VERSION");
  app.add_option("--parent", o.parent, "Parent of the commit (default: the previous one)")
      ->type_name("REV");
  app.add_flag("--no-parent", o.no_parent, "The commit has no parent");
  app.add_option("--ex-write-lockfile-to,--write-lockfile-to", o.write_lockfile_to,
                 "Write the resolved packages to FILE")
      ->type_name("FILE");
  app.add_option("--ex-lockfile,--lockfile", o.lockfiles,
                 "Prefer the versions in FILE (repeat; later files win)")
      ->type_name("FILE");
  app.add_flag("--ex-lockfile-strict,--lockfile-strict", o.strict_lock,
               "Take no package that the lockfile does not name");
  app.add_option("--add-metadata-string", o.metadata_strings,
                 "Add a string to the commit's metadata (repeat)")
      ->type_name("KEY=VALUE");
  app.add_option("--add-metadata-from-json", o.metadata_json,
                 "Add all keys of a JSON object to the commit's metadata")
      ->type_name("FILE");
  app.add_option("--write-commitid-to", o.write_commitid_to,
                 "Write the commit's checksum to FILE and leave the ref alone")
      ->type_name("FILE");
  app.add_option("--write-composejson-to", o.write_composejson_to,
                 "Write what the compose did to FILE")
      ->type_name("FILE");
  app.add_option("--threads", o.threads,
                 "Threads for verifying and importing (default: one for each processor)")
      ->type_name("N");
  app.add_option("--script-timeout", o.script_timeout_s,
                 "Kill a program in the tree after so many seconds")
      ->type_name("SECONDS")
      ->capture_default_str();
  app.add_flag("--json", o.json, "Print the result as JSON");
  app.add_flag("-q,--quiet", o.quiet, "No progress");
}

}  // namespace

int main(int argc, char** argv) {
  umask(022);
  CLI::App app("Make OSTree commits from package repositories", "atomic compose");
  app.set_version_flag("--version", std::string("atomic ") + ATOMIC_VERSION);
  app.require_subcommand(1);
  TreeOptions options;
  auto* tree = app.add_subcommand("tree", "Compose a treefile into a commit");
  define_tree(*tree, options);
  if (argc == 2 && std::string_view(argv[1]) == "--generate-man") {
    fmt::print("{}", atomichost::compose::man_page(app));
    return 0;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    fmt::print(stderr, "error: {}\nTry: atomic compose {}--help\n", e.what(),
               app.got_subcommand(tree) ? "tree " : "");
    return 1;
  }
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  atomichost::compose::ConsoleProgress progress(options.quiet);
  try {
    atomichost::compose::compose_tree(options, progress, g_cancel);
    return fflush(stdout) == 0 ? 0 : 1;
  } catch (const atomichost::Cancelled&) {
    progress.message("Cancelled; nothing was changed");
    return 130;
  } catch (const std::exception& e) {
    progress.message(std::string("error: ") + e.what());
    return 1;
  }
}
