"""The files of deploy/ as they are, with real proxies where they are installed."""
