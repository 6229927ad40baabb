"""What users' tests stand on, tested as they use it."""
