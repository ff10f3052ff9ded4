// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

namespace atomichost::rpm {

/// Private to this module. Make tuning possible for sqlite connections opened from now on; once
/// per process.
void tune_databases();

/// While it lives, sqlite connections that this thread opens write straight into their file: no
/// journal, no sync, no shared memory. For a database that is thrown away if anything fails.
class DatabaseTuning {
 public:
  DatabaseTuning();
  DatabaseTuning(const DatabaseTuning&) = delete;
  DatabaseTuning& operator=(const DatabaseTuning&) = delete;
  ~DatabaseTuning();
};

}  // namespace atomichost::rpm
