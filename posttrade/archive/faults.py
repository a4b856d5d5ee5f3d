"""What is wrong with an archive."""

from lockstep.runtime.faults import EnvironmentFault


class ArchiveFault(EnvironmentFault):
    """A file or an object is not what was signed. The text names it."""
