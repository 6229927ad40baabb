"""The forward-auth service in this process: its answers, its headers, its metrics and its command."""
