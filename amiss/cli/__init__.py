"""The command line: one small module a verb, joined here."""

import os
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; errors of ours are printed as they are, and end with their exit code."""
    # Before torch is imported: pools that spin make a small pass up to 100 times slower on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    from amiss.cli.app import run
    from amiss.cli.command import shown
    from amiss.errors import AmissError

    try:
        return run(arguments)
    except AmissError as error:
        if debug:
            raise
        print("\n".join(map(shown, f"{type(error).__name__} {error}".split("\n"))), file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    except Exception as error:
        if debug:
            raise
        print(
            f"amiss failed where it should not: {type(error).__name__}: {error}\n"
            "  Try:    the same command with --debug, which shows where; then please report it.",
            file=sys.stderr,
        )
        return 1
