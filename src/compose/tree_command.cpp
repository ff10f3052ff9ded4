// SPDX-License-Identifier: LGPL-2.1-or-later
#include "tree_command.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <future>
#include <optional>
#include <thread>

#include "assemble/accounts.hpp"
#include "assemble/files.hpp"
#include "assemble/plan.hpp"
#include "assemble/postprocess.hpp"
#include "assemble/runner.hpp"
#include "assemble/var.hpp"
#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "base/parallel.hpp"
#include "base/sha256.hpp"
#include "base/strings.hpp"
#include "importer/importer.hpp"
#include "keys/keys.hpp"
#include "ostree/object_store.hpp"
#include "ostree/repo.hpp"
#include "report.hpp"
#include "rpm/package.hpp"
#include "rpm/rpmdb.hpp"
#include "rpmmd/rpmmd.hpp"
#include "sandbox/sandbox.hpp"
#include "selinux/labeler.hpp"
#include "solver/solver.hpp"
#include "treefile/lockfile.hpp"
#include "treefile/treefile.hpp"
#include "treefile/version.hpp"

namespace atomichost::compose {
namespace {

namespace fs = std::filesystem;

// Part of the input hash: a tool that makes another tree of the same inputs counts this up.
constexpr const char* kToolFormat = "atomic-compose 1";

std::string basearch() {
  utsname name{};
  uname(&name);
  const std::string machine = name.machine;
  if (machine.size() == 4 && machine[0] == 'i' && machine.ends_with("86")) return "i386";
  if (machine.starts_with("armv7")) return "armhfp";
  return machine;
}

std::int64_t now_or_epoch() {
  const char* epoch = getenv("SOURCE_DATE_EPOCH");
  if (!epoch || !*epoch) return time(nullptr);
  char* end = nullptr;
  errno = 0;
  const auto value = strtoll(epoch, &end, 10);
  if (errno || *end || value < 0)
    throw Error(
        ErrorCode::InvalidInput,
        fmt::format("SOURCE_DATE_EPOCH is '{}', which is not a number of seconds since 1970",
                    epoch));
  return value;
}

/// One compose from treefile to commit. Each step is a method; what it leaves to later ones is a
/// member.
class TreeCompose {
 public:
  TreeCompose(const TreeOptions& options, Progress& progress, const CancelToken& cancel)
      : options_(options), progress_(progress), cancel_(cancel), now_s_(now_or_epoch()) {}

  void run() {
    load_treefile();
    if (options_.print_only) {
      fmt::print("{}", treefile::canonical_json(treefile_));
      return;
    }
    open_repo();
    lock_cache();
    fetch_and_resolve();
    if (options_.dry_run) return report_.print_transaction(resolved_);
    find_previous();
    compute_inputhash();
    if (!options_.force_nocache && !options_.download_only && !previous_inputhash_.empty() &&
        previous_inputhash_ == inputhash_) {
      write_lockfile();
      report_.unchanged(previous_);
      return;
    }
    check_sandbox();
    download();
    read_headers();
    write_lockfile();
    if (options_.download_only) return report_.print_downloaded(resolved_);
    plan_tree();
    prepare_owners_and_labels();
    start_rpmdb();
    import();
    run_scripts();
    postprocess();
    finish();
    commit();
  }

 private:
  // ---- inputs ----

  void load_treefile() {
    treefile_ = treefile::load(options_.treefile, {.basearch = basearch()});
    for (const auto& warning : treefile_.warnings) progress_.message("warning: " + warning);
    if (options_.disable_selinux) treefile_.selinux = false;
    metadata_ =
        CommitMetadata::collect(treefile_, options_.metadata_json, options_.metadata_strings);
    if (!treefile_.ref && options_.write_commitid_to.empty() && !options_.print_only &&
        !options_.dry_run && !options_.download_only)
      throw Error(
          ErrorCode::InvalidInput,
          options_.treefile.string() + ": names no ref; add one, or use --write-commitid-to");
  }

  void open_repo() {
    if (options_.repo.empty())
      throw Error(ErrorCode::InvalidInput,
                  "No repository given: use --repo=DIRECTORY (make one with `ostree init "
                  "--mode=archive --repo=DIRECTORY`)");
    repo_.emplace(ostree::Repo::open(options_.repo));
    if (treefile_.ref) ostree::check_ref_name(*treefile_.ref);
  }

  void lock_cache() {
    if (options_.cachedir.empty()) {
      temporary_cache_.emplace(options_.workdir);
      cachedir_ = temporary_cache_->path();
    } else {
      make_directories(options_.cachedir);
      cachedir_ = fs::canonical(options_.cachedir);
    }
    cache_lock_.emplace(cachedir_ / ".lock", "The cache directory " + cachedir_.string(),
                        /*wait=*/false);
    for (const auto& entry : fs::directory_iterator(cachedir_))  // what a killed compose left
      if (entry.path().filename().string().starts_with("work-")) remove_tree(entry.path());
    work_.emplace(options_.workdir.empty() ? cachedir_ : options_.workdir, "work-");
  }

  [[nodiscard]] rpmmd::FetchOptions fetch_options() {
    return {.cache_only = options_.cache_only,
            .proxy = options_.proxy,
            .workers = threads(),
            .progress = &progress_,
            .cancel = &cancel_};
  }

  [[nodiscard]] unsigned threads() const {
    return options_.threads ? options_.threads : std::max(1U, std::thread::hardware_concurrency());
  }

  void fetch_and_resolve() {
    report_.step("metadata");
    std::map<std::string, std::string> vars = treefile_.repovars;
    vars["basearch"] = treefile_.basearch;
    if (treefile_.releasever) vars["releasever"] = *treefile_.releasever;
    const auto directory = options_.source_root.empty() ? treefile_.directory()
                                                        : options_.source_root / "etc/yum.repos.d";
    rpmmd::Warnings warnings;
    const auto all = rpmmd::load_repo_directory(directory, vars, &warnings);
    for (const auto& warning : warnings) progress_.message("warning: " + warning);
    std::vector<rpmmd::RepoConfig> configs;
    if (treefile_.repos) {
      auto ids = *treefile_.repos;
      for (const auto& id : treefile_.lockfile_repos)
        if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
      configs = rpmmd::select_repos(all, ids);
    } else {
      for (const auto& config : all)
        if (config.enabled) configs.push_back(config);
    }
    if (configs.empty())
      throw Error(
          ErrorCode::InvalidInput,
          fmt::format("{}: no repositories: name them with 'repos' and put their .repo files in {}",
                      options_.treefile.string(), directory.string()));
    repos_ = rpmmd::fetch_all(configs, cachedir_, fetch_options());
    report_.step("resolve");
    solver::Request request{.install = treefile_.packages,
                            .exclude = treefile_.exclude_packages,
                            .recommends = treefile_.recommends,
                            .basearch = treefile_.basearch,
                            .strict_lock = options_.strict_lock,
                            .lockfile_repos = treefile_.lockfile_repos};
    for (const auto& [repo, packages] : treefile_.repo_packages)
      request.repo_packages.push_back({repo, packages});
    if (!options_.lockfiles.empty())
      for (const auto& [name, locked] : treefile::load_lockfiles(options_.lockfiles).packages)
        request.locks[name] = {locked.evra(), locked.digest};
    if (options_.strict_lock && options_.lockfiles.empty())
      throw Error(ErrorCode::InvalidInput, "--ex-lockfile-strict needs --ex-lockfile");
    resolved_ = solver::resolve(repos_, request, cachedir_, fetch_options());
    report_.packages = resolved_.size();
  }

  void find_previous() {
    auto rev = options_.previous_commit;
    if (!rev.empty()) {
      const auto found = repo_->resolve(rev);
      if (!found)
        throw Error(ErrorCode::NotFound,
                    fmt::format("--previous-commit: {} is not in {}", rev, options_.repo.string()));
      previous_ = *found;
    } else if (treefile_.ref) {
      previous_ = repo_->resolve(*treefile_.ref).value_or("");
    }
    if (!previous_.empty()) {
      const auto commit = repo_->read_commit(previous_);
      previous_version_ = commit.version();
      previous_inputhash_ = commit.text("rpmostree.inputhash").value_or("");
    }
    if (!options_.previous_version.empty()) previous_version_ = options_.previous_version;
    if (!options_.previous_inputhash.empty()) previous_inputhash_ = options_.previous_inputhash;
    if (!options_.parent.empty()) {
      const auto found = repo_->resolve(options_.parent);
      if (!found)
        throw Error(ErrorCode::NotFound, fmt::format("--parent: {} is not in {}", options_.parent,
                                                     options_.repo.string()));
      parent_ = *found;
    } else if (!options_.no_parent) {
      parent_ = previous_;
    }
    if (metadata_.version) {
      version_ = *metadata_.version;
    } else if (treefile_.automatic_version_prefix) {
      version_ =
          treefile::next_version(*treefile_.automatic_version_prefix,
                                 treefile_.automatic_version_suffix, previous_version_, now_s_);
    }
    if (treefile_.mutate_os_release && version_.empty())
      throw Error(ErrorCode::InvalidInput,
                  options_.treefile.string() +
                      ": mutate-os-release needs a version: set automatic-version-prefix, or "
                      "--add-metadata-string=version=...");
  }

  void compute_inputhash() {
    Sha256 hash;
    auto add = [&](std::string_view text) {
      hash.update(text);
      hash.update(std::string_view("\0", 1));
    };
    add(kToolFormat);
    add(treefile::canonical_json(treefile_));
    for (const auto& [name, digest] : treefile::referenced_digests(treefile_)) {
      add(name);
      add(to_hex(digest));
    }
    add(metadata_.identity());
    add(options_.disable_selinux ? "no selinux" : "selinux");
    for (const auto& package : resolved_) {
      add(package.nevra.str());
      add(package.checksum);
    }
    inputhash_ = to_hex(hash.finish());
  }

  void write_lockfile() {
    if (options_.write_lockfile_to.empty()) return;
    treefile::Lockfile lock;
    lock.generated = rfc3339(now_s_);
    for (const auto& package : resolved_)
      lock.packages[package.nevra.name] = {
          .evr = package.nevra.evr(),
          .arch = package.nevra.arch,
          .digest = package.checksum_type + ":" + package.checksum};
    for (const auto& repo : repos_) lock.rpmmd_repos[repo.config.id] = rfc3339(repo.timestamp_s);
    replace_file(options_.write_lockfile_to, treefile::to_json(lock));
  }

  // ---- packages ----

  void check_sandbox() {
    if (options_.download_only) return;
    if (geteuid() != 0)
      throw Error(
          ErrorCode::Denied,
          "Composing a tree needs root: it gives files their owners and runs the packages' scripts "
          "in a sandbox of mounts");
    sandbox::self_test(work_->path());
  }

  void download() {
    report_.step("download");
    downloads_ = solver::downloads(resolved_, repos_);
    rpmmd::download_packages(downloads_, cachedir_, fetch_options());
  }

  void read_headers() {
    report_.step("verify");
    std::map<std::string, std::optional<rpm::Keyring>> keyrings;
    for (const auto& repo : repos_) {
      auto& keyring = keyrings[repo.config.id];
      if (!repo.config.gpgcheck) continue;
      keyring.emplace();
      if (repo.config.gpgkeys.empty())
        throw Error(ErrorCode::InvalidInput,
                    fmt::format("{}:{}: repository {} has gpgcheck on and no gpgkey: name the "
                                "key's file or URL, or set gpgcheck=0",
                                repo.config.file.string(), repo.config.line, repo.config.id));
      for (const auto& file : rpmmd::fetch_keys(repo.config, cachedir_, fetch_options())) {
        keyring->add(file.data, file.source);
        // librpm looks neither at expiry nor at revocation.
        for (const auto& key : keys::list_keys(file)) {
          if (key.is_revoked) keyring->distrust(key.fingerprint, "is revoked");
          if (key.is_expired)
            keyring->distrust(key.fingerprint,
                              key.expires_s ? "expired on " + rfc3339(*key.expires_s).substr(0, 10)
                                            : std::string("has expired"));
        }
      }
    }
    std::vector<std::optional<rpm::Package>> read(resolved_.size());
    progress_.begin("Verifying packages", resolved_.size(), "packages");
    std::atomic<std::uint64_t> done{0};
    parallel_for(
        threads(), read.size(),
        [&](std::size_t, std::size_t i) {
          const auto& keyring = keyrings.at(resolved_[i].repo);
          read[i] = with_context(
              "Package " + resolved_[i].nevra.str() + " from repository " + resolved_[i].repo, [&] {
                return rpm::Package::read(downloads_[i].path, keyring ? &*keyring : nullptr);
              });
          if (const auto& nevra = read[i]->nevra(); nevra.str() != resolved_[i].nevra.str())
            throw Error(ErrorCode::Corrupt, fmt::format("{}: is {}, but its repository says {}",
                                                        downloads_[i].path.string(), nevra.str(),
                                                        resolved_[i].nevra.str()));
          progress_.update(++done, resolved_[i].nevra.name);
        },
        &cancel_);
    progress_.end();
    for (auto& package : read) packages_.push_back(std::move(*package));
    std::vector<const rpm::Package*> all;
    for (const auto& package : packages_) all.push_back(&package);
    for (const auto index : rpm::install_order(all)) ordered_.push_back(all[index]);
  }

  // ---- the tree ----

  void plan_tree() {
    report_.step("plan");
    assemble::PlanOptions plan_options{
        .documentation = treefile_.documentation,
        .install_langs = treefile_.install_langs.value_or(std::vector<std::string>{})};
    for (const auto& [package, patterns] : treefile_.remove_from_packages)
      plan_options.remove_from_packages.emplace_back(package, patterns);
    plan_ = assemble::make_plan(ordered_, plan_options);
    for (const auto& note : plan_.notes) lost(note);
    if (treefile_.readonly_executables)
      plan_.tree.walk([](const std::string&, tree::Node& node) {
        if (node.meta->is_regular() && (node.meta->mode & 0111))
          node.chmod(node.meta->mode & 07555);
      });
  }

  // The accounts of the previous commit whose numbers this one keeps.
  [[nodiscard]] users::Accounts kept_accounts() const {
    return treefile_.preserve_passwd ? previous_accounts_ : users::Accounts{};
  }

  // Owners by name and labels by policy, both from what the packages themselves carry: known before
  // the first object is written, so that each is written once.
  void prepare_owners_and_labels() {
    report_.step("labels");
    const auto early = assemble::read_early_files(ordered_, plan_, treefile_.selinux);
    if (!previous_.empty()) previous_accounts_ = assemble::previous_accounts(*repo_, previous_);
    accounts_ = assemble::early_accounts(early, kept_accounts());
    assemble::resolve_owners(plan_.tree, plan_.owners, accounts_);
    store_ = ostree::ObjectStore::open(options_.repo);
    if (treefile_.selinux) {
      const auto contexts = assemble::early_contexts(early, work_->path() / "contexts");
      if (!contexts)
        throw Error(ErrorCode::NotFound,
                    "selinux: no package of this tree has a policy "
                    "(/etc/selinux/NAME/contexts/files/file_contexts): add "
                    "selinux-policy-targeted or its like, or set selinux: false");
      labeler_.emplace(selinux::Labeler::open(*contexts));
      assemble::apply_labels(plan_.tree, *labeler_);
    }
    files_.emplace(plan_.tree, *store_, labeler_ ? &*labeler_ : nullptr);
  }

  void start_rpmdb() {
    rpmdb_dir_ = work_->path() / "rpmdb";
    make_directories(rpmdb_dir_);
    std::vector<rpm::InstalledPackage> installed;
    for (std::size_t p = 0; p < ordered_.size(); ++p)
      installed.push_back({.package = ordered_[p], .left_out = plan_.left_out[p]});
    rpmdb_ = std::async(std::launch::async, [this, installed = std::move(installed)] {
      rpm::write_rpmdb(rpmdb_dir_, installed, now_s_);
    });
  }

  void import() {
    report_.step("import");
    std::vector<importer::Import> imports;
    for (std::size_t p = 0; p < ordered_.size(); ++p)
      imports.push_back({ordered_[p], plan_.nodes[p]});
    const importer::Memo memo(options_.force_nocache ? fs::path() : cachedir_ / "import");
    report_.imported = importer::import_all(imports, *store_, memo, threads(), progress_, &cancel_);
    plan_.nodes.clear();  // scripts may replace nodes from here on
    report_.step("rpmdb");
    rpmdb_.get();
  }

  void run_scripts() {
    report_.step("scripts");
    sandbox::Options sandbox_options{
        .work_dir = work_->path() / "sandbox",
        .memo_dir = options_.force_nocache ? fs::path() : cachedir_ / "memo",
        .timeout = std::chrono::seconds(options_.script_timeout_s)};
    make_directories(sandbox_options.work_dir);
    runner_.emplace(*files_, *store_, sandbox_options, progress_, &cancel_);
    auto& tree = plan_.tree;
    for (const char* dir :
         {"dev", "proc", "sys", "run", "tmp", "var/tmp", "var/lib", "var/log", "var/cache", "root"})
      if (!tree.resolve(dir)) files_->directory(dir);
    for (const auto& note : assemble::inject_accounts(*files_, kept_accounts()))
      progress_.message("warning: " + note);
    progress_.begin("Running package scripts", 2 * ordered_.size(), "packages");
    assemble::run_sysusers(*runner_);
    assemble::run_pre_scripts(*runner_, ordered_, progress_);
    update_owners();
    for (const auto& note : assemble::run_post_scripts(*runner_, ordered_, progress_))
      progress_.message("notice: " + note);
    progress_.end();
    for (const auto& name : update_owners())
      progress_.message(
          fmt::format("warning: {} owns files and is nowhere defined; they belong to root", name));
  }

  std::vector<std::string> update_owners() {
    assemble::Accounts accounts(assemble::read_accounts(*files_));
    for (const auto& [name, id] : accounts_.users) accounts.users.emplace(name, id);
    for (const auto& [name, id] : accounts_.groups) accounts.groups.emplace(name, id);
    accounts_ = accounts;
    return assemble::resolve_owners(plan_.tree, plan_.owners, accounts_);
  }

  void postprocess() {
    report_.step("postprocess");
    auto& files = *files_;
    assemble::set_machine_id(files, treefile_.machineid_compat);
    assemble::enable_units(*runner_, treefile_.units);
    if (treefile_.default_target) assemble::set_default_target(files, *treefile_.default_target);
    if (treefile_.mutate_os_release)
      assemble::mutate_os_release(files, *treefile_.mutate_os_release, version_);
    files.write("usr/share/rpm-ostree/treefile.json", treefile::canonical_json(treefile_));
    for (const auto& path : assemble::remove_files(files, treefile_.remove_files))
      progress_.message("warning: remove-files: /" + path + " is not in the tree");
    for (const auto& add : treefile_.add_files)
      assemble::add_file(files, add.source.path, add.destination);
    assemble::set_useradd_home(files);
    for (std::size_t i = 0; i < treefile_.postprocess.size(); ++i)
      assemble::run_postprocess(*runner_, fmt::format("postprocess script {}", i + 1),
                                treefile_.postprocess[i]);
    if (treefile_.postprocess_script)
      assemble::run_postprocess(*runner_,
                                "postprocess-script " + treefile_.postprocess_script->name,
                                read_file(treefile_.postprocess_script->path));
    assemble::normalise_accounts(files);
    assemble::check_accounts(files, treefile_, previous_accounts_);
  }

  void finish() {
    report_.step("initramfs");
    auto& files = *files_;
    assemble::move_selinux_store(files);
    if (treefile_.selinux) assemble::add_selinux_substitutions(files);
    kernel_ = assemble::place_kernel(files);
    if (kernel_.version.empty()) {
      progress_.message("notice: the tree has no kernel; the commit will not be bootable");
    } else {
      if (!treefile_.no_initramfs) progress_.begin("Making the initramfs", 0, "");
      assemble::finish_kernel(*runner_, kernel_, !treefile_.no_initramfs, treefile_.initramfs_args);
      if (!treefile_.no_initramfs) progress_.end();
    }
    report_.step("finish");
    if (treefile_.boot_location == treefile::BootLocation::New)
      assemble::copy_kernel_to_ostree_boot(files, kernel_);
    assemble::place_rpmdb(files, rpmdb_dir_);
    for (const auto& note : assemble::convert_var(files, accounts_)) lost(note);
    assemble::split_accounts(files, treefile_.etc_group_members);
    // The policy in the tree has the last word: a script may have changed it.
    if (labeler_) {
      const auto contexts = assemble::tree_contexts(files, work_->path() / "contexts-final");
      const auto final_labeler = selinux::Labeler::open(contexts);
      assemble::apply_labels(plan_.tree, final_labeler);
      assemble::Files final_files(plan_.tree, *store_, &final_labeler);
      finish_layout(final_files);
      assemble::inherit_labels(plan_.tree);
    } else {
      finish_layout(files);
    }
  }

  void finish_layout(assemble::Files& files) {
    for (const auto& note : assemble::finish_layout(files, {.tmp_is_dir = treefile_.tmp_is_dir}))
      lost(note);
  }

  void lost(const std::string& note) {
    progress_.message("warning: not kept: " + note);
    report_.not_kept.push_back(note);
  }

  // ---- the commit ----

  void commit() {
    report_.step("commit");
    progress_.begin("Writing the commit", 0, "");
    cancel_.check();
    report_.content = store_->counters();
    const auto sums = store_->put_tree(plan_.tree);
    const auto all = store_->counters();
    report_.metadata = {all.written - report_.content.written + 1,
                        all.existing - report_.content.existing,
                        all.bytes - report_.content.bytes};  // and the commit object
    cancel_.check();
    store_->publish();
    const auto metadata =
        metadata_.build({.version = version_,
                         .inputhash = inputhash_,
                         .resolved = resolved_,
                         .repos = repos_,
                         .initramfs_args = treefile_.no_initramfs ? std::vector<std::string>{}
                                                                  : treefile_.initramfs_args,
                         .container_cmd = treefile_.container_cmd,
                         .kernel = kernel_.version,
                         .bootable = !kernel_.version.empty() && !treefile_.no_initramfs});
    report_.commit = repo_->write_commit(
        {.root = sums, .parent = parent_, .timestamp_s = now_s_, .metadata = metadata.get()});
    if (treefile_.gpg_key) repo_->sign(report_.commit, *treefile_.gpg_key, "");
    cancel_.check();
    if (options_.write_commitid_to.empty()) {
      repo_->set_ref(*treefile_.ref, report_.commit);
    } else {
      replace_file(options_.write_commitid_to, report_.commit);
    }
    progress_.end();
    report_.ref = treefile_.ref.value_or("");
    report_.version = version_;
    report_.timestamp_s = now_s_;
    report_.inputhash = inputhash_;
    report_.content_checksum = repo_->content_checksum(report_.commit);
    report_.programs = runner_->ran();
    report_.finish();
    if (!options_.write_composejson_to.empty())
      replace_file(options_.write_composejson_to, report_.compose_json());
    if (!options_.touch_if_changed.empty()) touch(options_.touch_if_changed);
    report_.print();
  }

  static void touch(const fs::path& path) {
    const UniqueFd fd = open_at(AT_FDCWD, path, O_WRONLY | O_CREAT, 0644);
    if (futimens(fd.get(), nullptr)) throw_errno("Touching " + path.string());
  }

  const TreeOptions& options_;
  Progress& progress_;
  const CancelToken& cancel_;
  const std::int64_t now_s_;
  Report report_{options_.json};
  treefile::Treefile treefile_;
  CommitMetadata metadata_;
  std::optional<ostree::Repo> repo_;
  std::optional<TempDir> temporary_cache_;
  fs::path cachedir_;
  std::optional<FileLock> cache_lock_;
  std::optional<TempDir> work_;
  std::vector<rpmmd::RepoMetadata> repos_;
  std::vector<solver::ResolvedPackage> resolved_;
  std::vector<rpmmd::Download> downloads_;
  std::string previous_, previous_version_, previous_inputhash_, parent_, version_, inputhash_;
  std::vector<rpm::Package> packages_;
  std::vector<const rpm::Package*> ordered_;
  assemble::Plan plan_;
  users::Accounts previous_accounts_;
  assemble::Accounts accounts_;
  std::unique_ptr<ostree::ObjectStore> store_;
  std::optional<selinux::Labeler> labeler_;
  std::optional<assemble::Files> files_;
  std::optional<assemble::Runner> runner_;
  fs::path rpmdb_dir_;
  std::future<void> rpmdb_;
  assemble::Kernel kernel_;
};

}  // namespace

void compose_tree(const TreeOptions& options, Progress& progress, const CancelToken& cancel) {
  TreeCompose(options, progress, cancel).run();
}

}  // namespace atomichost::compose
