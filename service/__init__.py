"""People: the policy, the wire, the doors and the command line."""
