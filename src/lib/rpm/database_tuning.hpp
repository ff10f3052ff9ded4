// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

namespace atomichost::rpm {

/// Private to this module. Make tuning possible for sqlite connections opened from now on; once
/// per process.
void tune_databases();

/// While it lives, an sqlite database that this thread opens is written straight into its file: no
/// journal, no sync, no shared memory. For one that is thrown away if anything fails.
class DatabaseTuning {
 public:
  DatabaseTuning();
  DatabaseTuning(const DatabaseTuning&) = delete;
  DatabaseTuning& operator=(const DatabaseTuning&) = delete;
  ~DatabaseTuning();
  /// Collect everything from here to commit() in memory: librpm by itself writes out every package.
  /// @return false when no database was opened, or sqlite refuses.
  [[nodiscard]] bool begin();
  [[nodiscard]] bool commit();              ///< before librpm closes the database
  [[nodiscard]] bool is_disk_full() const;  ///< was that why the last step failed?
};

}  // namespace atomichost::rpm
