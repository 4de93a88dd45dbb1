"""Who may do what: roles, policies, and the actions of requests."""
