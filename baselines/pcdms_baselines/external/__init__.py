"""Official repositories as methods: somebody's program, run in its own interpreter on our pairs."""
