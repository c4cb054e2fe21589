"""The coverage-guided fuzzer: `make fuzz`, or `python -m tests.fuzz.fuzz_decoders --seconds 60 [decoder …]`.

Atheris (libFuzzer for Python) follows which branches of this project's code an input takes, and goes on from those
that took new ones. Each decoder runs in a process of its own, for a bounded time and with bounded memory; what it
finds, and the corpus, stand under `--corpus`, and the next run begins from there. Exit code 1 if anything was found.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

INPUT_SECONDS_MAX = 10
MEMORY_MEGABYTES_MAX = 2_048
INPUT_BYTES_MAX = 16_384
"""Longer inputs cost time and find nothing new: size is the subject of tests/fuzz/test_decoders.py."""


def fuzz_one(name: str, arguments: list[str]) -> None:
    """Fuzz one decoder in this process, until libFuzzer ends it."""
    import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]  # installed by `make fuzz`

    with atheris.instrument_imports(include=["consensus", "step_node", "p2p", "mesh"]):
        from tests.fuzz.decoders import decoders
    decoder = decoders()[name]

    def run(data: bytes) -> None:
        decoder.try_out(data)

    atheris.Setup([sys.argv[0], *arguments], run)
    atheris.Fuzz()


def fuzz_all(names: list[str], seconds: int, corpus: Path) -> int:
    """Fuzz each decoder for so many seconds; print a table; return how many have findings."""
    from tests.fuzz.decoders import decoders

    table = decoders()
    failed = 0
    print(f"{'decoder':22} {'executions':>11} {'branches':>9} {'inputs kept':>12}  result")  # noqa: T201
    for name in names or sorted(table):
        seeds = corpus / name
        seeds.mkdir(parents=True, exist_ok=True)
        for number, sample in enumerate(table[name].samples):
            (seeds / f"sample-{number}").write_bytes(sample)
        found = corpus / "findings"
        found.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "tests.fuzz.fuzz_decoders", "--one", name, str(seeds)]
        command += [f"-max_total_time={seconds}", f"-timeout={INPUT_SECONDS_MAX}", f"-max_len={INPUT_BYTES_MAX}"]
        command += [
            f"-rss_limit_mb={MEMORY_MEGABYTES_MAX}",
            f"-artifact_prefix={found}/{name}-",
            "-print_final_stats=1",
        ]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace")
        output = ended.stdout + ended.stderr
        executions = re.findall(r"stat::number_of_executed_units: (\d+)", output)
        branches = re.findall(r"cov: (\d+)", output)
        failed += ended.returncode != 0
        result = "ok" if ended.returncode == 0 else f"FOUND (exit code {ended.returncode})"
        print(  # noqa: T201
            f"{name:22} {(executions or ['?'])[-1]:>11} {(branches or ['?'])[-1]:>9}"
            f" {len(list(seeds.iterdir())):>12}  {result}",
            flush=True,
        )
        if ended.returncode:
            print("\n".join(output.splitlines()[-40:]))  # noqa: T201
    return failed


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description="Fuzz the decoders, guided by coverage.")
    parser.add_argument("decoders", nargs="*", help="which; all, if none is named")
    parser.add_argument("--seconds", type=int, default=20, help="for each decoder (default: 20)")
    parser.add_argument("--corpus", type=Path, default=None, help="a directory to keep; a temporary one by default")
    chosen = parser.parse_args()
    corpus = chosen.corpus or Path(tempfile.mkdtemp(prefix="step-fuzz-corpus-"))
    return 1 if fuzz_all(chosen.decoders, chosen.seconds, corpus) else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        fuzz_one(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main())
