# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the integration tests share: a private message bus, an HTTP server with faults on demand, a
repository that publishes small trees, and a host that follows it. Real programs, no fixed ports or
paths, and nothing that waits for time to pass."""
