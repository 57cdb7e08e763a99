"""``python -m helpers``: list the stored results, and make one again."""

import argparse
import sys

from helpers import checks, experiments


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m helpers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every stored result and what it shows")
    run = commands.add_parser("run", help="train, and store the table with its provenance")
    run.add_argument("name", help="one of those that `list` shows")
    run.add_argument("--device", default="cpu", help="cpu (default), cuda or cuda:0")
    run.add_argument("--seeds", type=_count, metavar="N", help="networks for every scheme")
    run.add_argument("--epochs", type=_count, metavar="N", help="passes over the data")
    run.add_argument("--data", metavar="ROOT", help="where the data lie, else HELPERS_DATA")
    run.add_argument("--out", metavar="FOLDER", help="where the result goes, else book/results")
    options = parser.parse_args(arguments)
    try:
        if options.command == "list":
            for name, experiment in experiments.EXPERIMENTS.items():
                print(f"{name}  {experiment.summary}")
        else:
            experiment = experiments.choose(
                options.name, seeds=options.seeds, epochs=options.epochs
            )
            from helpers import running  # torch: not for a list

            table = running.run(
                experiment,
                root=options.data,
                device=options.device,
                folder=options.out,
                progress=True,
            )
            print(f"{experiment.name}: {len(table)} rows stored")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from the last whole epoch.", file=sys.stderr)
        return 130
    return 0


def _count(text: str) -> int:
    try:
        return checks.count("the number", int(text))
    except ValueError:
        message = f"{text!r}; expected a whole number, 1 or above"
        raise argparse.ArgumentTypeError(message) from None


if __name__ == "__main__":
    sys.exit(main())
