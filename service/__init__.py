"""People: the policy, the wire, the doors and the command line."""

__version__ = "0.1.0"
