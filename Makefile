.PHONY: setup check test smoke wheel tree

setup:  ## environment and commit hook
	uv sync
	uv run pre-commit install

check:  ## style, types, import contracts
	uv run ruff check .
	uv run ruff format --check .
	uv run mypy
	uv run lint-imports

test:  ## the test suite
	OMP_NUM_THREADS=1 uv run pytest

smoke:  ## the whole walk on a few small pictures
	uv run pcdms-bench run --size smoke --limit 4 --out runs/smoke

wheel:  ## build the wheel and check what is in it
	rm -rf dist
	uv build --wheel
	uv run python tests/check_wheel.py dist/*.whl

tree:  ## write the README's file tree anew
	uv run python tests/readme_parts.py
