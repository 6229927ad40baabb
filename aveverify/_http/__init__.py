"""What the middlewares and framework integrations share: policy, requests, refusals, WebSockets. Knows no framework."""
