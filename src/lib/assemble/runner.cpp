// SPDX-License-Identifier: LGPL-2.1-or-later
#include "assemble/runner.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "base/strings.hpp"

namespace atomichost::assemble {
namespace {

constexpr std::size_t kOutputLinesShown = 12;

std::string last_lines(std::string_view output) {
  auto lines = split(trim(output), '\n');
  if (lines.size() > kOutputLinesShown)
    lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(kOutputLinesShown));
  std::string text;
  for (const auto& line : lines)
    if (!trim(line).empty()) text += "\n  " + line;
  return text;
}

}  // namespace

Runner::Runner(Files& files, ostree::ObjectStore& store, sandbox::Options options,
               Progress& progress, const CancelToken* cancel)
    : files_(files),
      store_(store),
      sandbox_(
          files.tree(), [&store](const tree::Node& node) { return store.open_content(node); },
          std::move(options)),
      progress_(progress),
      cancel_(cancel) {}

bool Runner::has(std::string_view path) const {
  const auto* node = files_.tree().resolve(path);
  return node && node->meta->is_regular();
}

void Runner::run(const sandbox::Job& job) {
  const auto result = sandbox_.run(job, cancel_);
  ran_.push_back({job.name, result.seconds, result.replayed});
  if (result.timed_out)
    throw Error(ErrorCode::Failed,
                fmt::format("{}: did not end in time and was killed (see --script-timeout){}",
                            job.name, last_lines(result.output)));
  if (!result.ok()) {
    std::string why = fmt::format("exit status {}", result.exit_status);
    if (result.exit_status == 127) why += " (a program it needs is not in the tree)";
    if (result.exit_status > 128)
      why = fmt::format("killed by signal {}", result.exit_status - 128);
    throw Error(ErrorCode::Failed,
                fmt::format("{}: {}{}", job.name, why, last_lines(result.output)));
  }
  for (const auto& change : result.changes)
    if (change.kind == sandbox::Change::Kind::Removed &&
        (change.path == "usr" || change.path == "etc" || change.path == "usr/bin" ||
         change.path == "usr/lib"))
      throw Error(
          ErrorCode::Failed,
          fmt::format("{}: removed /{} of the tree; this cannot be meant", job.name, change.path));
  sandbox::apply(files_.tree(), result.changes,
                 [&](const std::string& path, tree::Node& node, int content) {
                   files_.label(node, path);
                   if (content < 0) {
                     store_.put_symlink(node);
                   } else {
                     store_.put_file(node, content, path);
                   }
                 });
  for (const auto& change : result.changes) {
    if (change.kind == sandbox::Change::Kind::Special)
      progress_.message(fmt::format("{}: /{} is a device, fifo or socket and is left out", job.name,
                                    change.path));
    if (change.kind == sandbox::Change::Kind::Directory)
      if (auto* node = files_.tree().find(change.path)) files_.label(*node, change.path);
  }
}

namespace {

sandbox::Job job_of(const rpm::Package& package, const rpm::Script& script) {
  sandbox::Job job;
  job.name = package.nevra().str() + " " + script.kind;
  if (script.needs_macros)
    throw Error(ErrorCode::InvalidInput, job.name +
                                             ": is packaged with -e and needs the macros of an "
                                             "installing rpm; this is not supported");
  job.argv = script.interpreter;
  job.is_lua = script.is_lua;
  job.script = script.body;
  if (!script.body.empty()) job.script_args = {"1"};
  return job;
}

void run_script(Runner& runner, const rpm::Package& package, std::string_view kind) {
  const auto* script = package.script(kind);
  if (!script || (script->body.empty() && script->interpreter.empty())) return;
  runner.run(job_of(package, *script));
}

bool matches(const rpm::FileTrigger& trigger, const std::string& path) {
  return std::any_of(trigger.prefixes.begin(), trigger.prefixes.end(),
                     [&](const std::string& prefix) { return path.starts_with(prefix); });
}

// The files of the set a trigger waits for, one a line, as the trigger gets them.
std::string matching_files(const rpm::FileTrigger& trigger,
                           const std::vector<const rpm::Package*>& packages) {
  std::string input;
  for (const auto* package : packages)
    for (const auto& file : package->files())
      if (!file.ghost && matches(trigger, file.path)) input += file.path + "\n";
  return input;
}

struct Triggered {
  const rpm::Package* package;
  const rpm::FileTrigger* trigger;
};

std::vector<Triggered> triggers_of(const std::vector<const rpm::Package*>& packages,
                                   std::string_view kind) {
  std::vector<Triggered> found;
  for (const auto* package : packages)
    for (const auto& trigger : package->file_triggers())
      if (trigger.kind == kind) found.push_back({package, &trigger});
  std::stable_sort(found.begin(), found.end(), [](const Triggered& a, const Triggered& b) {
    return a.trigger->priority > b.trigger->priority;
  });
  return found;
}

void run_trigger(Runner& runner, const Triggered& triggered, std::string input,
                 std::string_view because) {
  auto job = job_of(*triggered.package, triggered.trigger->script);
  job.name =
      fmt::format("{} {}{}", triggered.package->nevra().str(), triggered.trigger->kind, because);
  job.input = std::move(input);
  runner.run(job);
}

}  // namespace

void run_pre_scripts(Runner& runner, const std::vector<const rpm::Package*>& packages,
                     Progress& progress) {
  std::uint64_t done = 0;
  for (const auto* package : packages) {
    progress.update(++done, package->nevra().name);
    run_script(runner, *package, "%pre");
  }
}

std::vector<std::string> run_post_scripts(Runner& runner,
                                          const std::vector<const rpm::Package*>& packages,
                                          Progress& progress) {
  std::vector<std::string> notes;
  const auto file_triggers = triggers_of(packages, "%filetriggerin");
  std::uint64_t done = 0;
  for (const auto* package : packages) {
    progress.update(++done, package->nevra().name);
    run_script(runner, *package, "%post");
    for (const auto& triggered : file_triggers)
      if (auto input = matching_files(*triggered.trigger, {package}); !input.empty())
        run_trigger(runner, triggered, std::move(input), " for " + package->nevra().name);
    for (const auto& kind : package->other_triggers())
      if (kind == "%triggerin" || kind == "%triggerprein")
        notes.push_back(
            fmt::format("{}: {} is not run in a compose", package->nevra().str(), kind));
    if (const auto* script = package->script("%pretrans");
        script && !(script->body.empty() && script->interpreter.empty()))
      notes.push_back(
          fmt::format("{}: %pretrans is not run in a compose: there is nothing installed before it",
                      package->nevra().str()));
  }
  for (const auto* package : packages) run_script(runner, *package, "%posttrans");
  for (const auto& triggered : triggers_of(packages, "%transfiletriggerin"))
    if (auto input = matching_files(*triggered.trigger, packages); !input.empty())
      run_trigger(runner, triggered, std::move(input), "");
  return notes;
}

void run_postprocess(Runner& runner, const std::string& name, const std::string& text) {
  sandbox::Job job;
  job.name = name;
  job.script = text;
  if (text.starts_with("#!")) {
    const auto line = trim(std::string_view(text).substr(2, text.find('\n') - 2));
    const auto blank = line.find_first_of(" \t");
    job.argv = {std::string(line.substr(0, blank))};
    if (blank != std::string_view::npos) job.argv.emplace_back(trim(line.substr(blank)));
  } else {
    job.argv = {"/bin/sh"};
  }
  runner.run(job);
}

void enable_units(Runner& runner, const std::vector<std::string>& units) {
  if (units.empty()) return;
  if (!runner.has("usr/bin/systemctl"))
    throw Error(ErrorCode::NotFound,
                "units: the tree has no /usr/bin/systemctl; add the package systemd");
  sandbox::Job job;
  job.name = "units: systemctl enable";
  job.argv = {"/usr/bin/systemctl", "enable"};
  job.argv.insert(job.argv.end(), units.begin(), units.end());
  job.env = {{"SYSTEMD_OFFLINE", "1"}};
  runner.run(job);
}

Kernel place_kernel(Files& files) {
  auto& tree = files.tree();
  std::set<std::string> versions;
  if (const auto* modules = tree.find("usr/lib/modules"))
    for (const auto& [version, dir] : modules->children)
      if (dir->is_dir() && (dir->child("vmlinuz") || tree.find("boot/vmlinuz-" + version)))
        versions.insert(version);
  if (versions.size() > 1)
    throw Error(ErrorCode::InvalidInput,
                fmt::format("The tree has {} kernels ({}): leave all but one out with "
                            "exclude-packages or by naming a version",
                            versions.size(), join({versions.begin(), versions.end()}, ", ")));
  if (versions.empty()) return {};
  const auto& version = *versions.begin();
  const auto place = "usr/lib/modules/" + version + "/";
  for (const auto& [from, to] : std::initializer_list<std::pair<const char*, const char*>>{
           {"vmlinuz", "vmlinuz"}, {"config", "config"}, {"System.map", "System.map"}}) {
    const auto old = fmt::format("boot/{}-{}", from, version);
    if (!tree.find(old) || tree.find(place + to)) continue;
    tree.move(old, place + to);
    files.label(*tree.find(place + to), place + to);
  }
  return {version};
}

void finish_kernel(Runner& runner, const Kernel& kernel, bool with_initramfs,
                   const std::vector<std::string>& initramfs_args) {
  if (kernel.version.empty()) return;
  if (runner.has("usr/sbin/depmod")) {
    sandbox::Job job;
    job.name = "depmod";
    job.argv = {"/usr/sbin/depmod", "-a", kernel.version};
    runner.run(job);
  }
  if (!with_initramfs) return;
  if (!runner.has("usr/bin/dracut"))
    throw Error(ErrorCode::NotFound,
                "initramfs: the tree has no /usr/bin/dracut; add the package dracut, or set "
                "no-initramfs: true");
  const auto image = "usr/lib/modules/" + kernel.version + "/initramfs.img";
  sandbox::Job job;
  job.name = "dracut";
  job.argv = {"/usr/bin/dracut", "--reproducible", "--add",       "ostree", "--tmpdir", "/tmp",
              "--force",         "--kver",         kernel.version};
  if (initramfs_args.empty()) job.argv.emplace_back("--no-hostonly");
  job.argv.insert(job.argv.end(), initramfs_args.begin(), initramfs_args.end());
  job.argv.push_back("/" + image);
  job.env = {{"DRACUT_NO_XATTR", "1"}};
  runner.run(job);
  auto* node = runner.files().tree().find(image);
  if (!node || !node->meta->is_regular() || node->size == 0)
    throw Error(ErrorCode::Failed, "dracut: ended without error but made no /" + image);
  node->chmod(0644);
}

void copy_kernel_to_ostree_boot(Files& files, const Kernel& kernel) {
  if (kernel.version.empty()) return;
  auto& tree = files.tree();
  const auto modules = "usr/lib/modules/" + kernel.version + "/";
  std::string together;
  for (const char* name : {"vmlinuz", "initramfs.img"})
    if (const auto* node = tree.find(modules + name)) together += files.read(*node, name);
  const auto checksum = to_hex(sha256(together));
  auto copy = [&](const std::string& from, const std::string& to) {
    const auto* node = tree.find(modules + from);
    if (!node) return;
    auto twin = tree::make_node(*node->meta);
    twin->stored = node->stored, twin->size = node->size, twin->content = node->content,
    twin->object = node->object;
    files.label(tree.put("usr/lib/ostree-boot/" + to, std::move(twin)),
                "usr/lib/ostree-boot/" + to);
  };
  copy("vmlinuz", fmt::format("vmlinuz-{}-{}", kernel.version, checksum));
  copy("initramfs.img", fmt::format("initramfs-{}.img-{}", kernel.version, checksum));
}

}  // namespace atomichost::assemble
