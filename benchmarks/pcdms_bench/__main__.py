"""`python -m pcdms_bench` is the same as `pcdms-bench`."""

from pcdms_bench.cli import main

if __name__ == "__main__":
    main()
