"""Who may call what: roles, the table of methods, credentials, and the one place where every call is checked."""
