"""What happens when there is more of something: processes, threads, tokens, providers, keys, bytes.

Each file measures one of these, and returns tables; `benchmarks.charts` draws those that are curves.
"""
