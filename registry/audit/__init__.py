"""The audit log: who did what, from where, and by which rule, sealed into a chain that shows what was altered."""
