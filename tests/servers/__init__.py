"""Real servers: of every protocol, before and behind real proxies, in fleets, and in the drill."""
