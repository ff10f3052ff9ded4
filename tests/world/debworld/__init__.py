"""Turns real Debian packages into real RPMs, and those into signed yum repositories."""


class WorldError(Exception):
    """A failure told in one sentence: what failed, on which object, what to do."""
