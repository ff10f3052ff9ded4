// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpm/database_tuning.hpp"

#include <sqlite3.h>

#include <cstring>

namespace atomichost::rpm {
namespace {

thread_local bool active = false;
thread_local sqlite3* opened = nullptr;  // belongs to librpm

// librpm asks for a write-ahead log: one sync per package, and a file that a read-only file system
// cannot be asked for. It ignores the answer, so the request is passed over.
int without_journal(void* /*data*/, int action, const char* pragma, const char* /*argument*/,
                    const char* /*database*/, const char* /*trigger*/) {
  return action == SQLITE_PRAGMA && std::strcmp(pragma, "journal_mode") == 0 ? SQLITE_IGNORE
                                                                             : SQLITE_OK;
}

int on_open(sqlite3* db, char** /*error*/, const sqlite3_api_routines* /*api*/) {
  if (!active) return SQLITE_OK;
  opened = db;
  const int rc = sqlite3_exec(db,
                              "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; "
                              "PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -65536",
                              nullptr, nullptr, nullptr);
  return rc != SQLITE_OK ? rc : sqlite3_set_authorizer(db, without_journal, nullptr);
}

}  // namespace

void tune_databases() {
  sqlite3_auto_extension(reinterpret_cast<void (*)()>(on_open));
}

DatabaseTuning::DatabaseTuning() {
  active = true;
  opened = nullptr;
}
DatabaseTuning::~DatabaseTuning() {
  active = false;
}

bool DatabaseTuning::begin() {
  return opened && sqlite3_exec(opened, "BEGIN", nullptr, nullptr, nullptr) == SQLITE_OK;
}

bool DatabaseTuning::commit() {
  return opened && sqlite3_exec(opened, "COMMIT", nullptr, nullptr, nullptr) == SQLITE_OK;
}

bool DatabaseTuning::is_disk_full() const {
  return opened && sqlite3_errcode(opened) == SQLITE_FULL;
}

}  // namespace atomichost::rpm
