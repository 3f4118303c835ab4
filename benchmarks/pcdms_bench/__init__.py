"""The harness: command line, run specs, runner and scoring. The only package that knows all others."""
