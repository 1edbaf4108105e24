"""Who calls a service, and what they may do: API keys, tokens, scopes, indexes, limits."""
