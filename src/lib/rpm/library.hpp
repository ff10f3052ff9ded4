// SPDX-License-Identifier: LGPL-2.1-or-later
#pragma once

/// RPM packages and databases: headers, signatures, order, the database of a tree. The only module
/// that includes <rpm/...>; no librpm type leaves it. Uses base/, libcap and sqlite (to open
/// databases as librpm does, but without a journal).
///
/// Threads: all functions may be called from several threads at once; objects are immutable after
/// construction unless their class says otherwise. librpm's process-wide configuration is set once
/// by initialise() and never changed afterwards; librpm messages go to the caller's Error, never
/// to a terminal.
namespace atomichost::rpm {

/// Configure librpm for this process, once; every entry of this module calls it. Only the
/// distribution's own macro file is read: neither /etc/rpm nor the user's ~/.rpmmacros has a say.
/// Another user of librpm in the same process sees `_dbpath` "/".
/// @throws Error Failed: librpm's configuration is not installed.
void initialise();

}  // namespace atomichost::rpm
