"""``python -m helpers``: what flows in your network; and the stored results: list them, check them,
make them again, and time it."""

import argparse
import sys

from helpers import checks, experiments, results


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m helpers", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    listing = commands.add_parser(
        "list", help="every stored result, what it shows, and what making it took"
    )
    listing.add_argument("--names", action="store_true", help="the names alone")
    run = commands.add_parser("run", help="train, and store the table with its provenance")
    run.add_argument("name", help="one of those that `list` shows")
    for option, meaning in experiments.OPTIONS.items():
        run.add_argument(f"--{option}", type=_count, metavar="N", help=meaning)
    check = commands.add_parser("check", help="make a small part again, and compare")
    check.add_argument("names", nargs="*", metavar="name", help="which; all, if none is named")
    bench = commands.add_parser(
        "bench", help="how fast networks train here, widgets answer, and pages open"
    )
    bench.add_argument(
        "what",
        nargs="?",
        default="training",
        choices=["training", "normalization", "memory", "widgets", "pages"],
        help="training (default), what batch normalization costs, the memory of every notebook, "
        "the laboratory's widget, or the built pages",
    )
    bench.add_argument("--rounds", type=_count, metavar="N", help="of which the median")
    bench.add_argument(
        "--pages",
        nargs="+",
        metavar="PAGE",
        help="of `bench pages` and `bench memory`: which, in place of the usual",
    )
    bench.add_argument(
        "--limit", type=_count, metavar="MB", help="of `bench memory`: in place of 1024"
    )
    for command in (run, check, bench):
        command.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:0 or mps")
        command.add_argument(
            "--data",
            metavar="ROOT",
            help="where data lie, else HELPERS_DATA; or a folder of images, train/<class>/*",
        )
        command.add_argument("--out", metavar="FOLDER", help="where the result is or goes")
    diagnose = commands.add_parser(
        "diagnose", help="what flows in a network of yours at its first weights, and what to change"
    )
    diagnose.add_argument(
        "network", help="package.module:factory, a function that returns it, without arguments"
    )
    diagnose.add_argument(
        "--input",
        action="append",
        required=True,
        metavar="SIZES",
        help="one example, such as 3x224x224; whole numbers below a limit, '128<30000'; once for "
        "each argument of the network",
    )
    diagnose.add_argument("--batch", type=_count, default=16, metavar="N", help="examples (16)")
    diagnose.add_argument("--seed", type=int, default=0, help="of weights and inputs (0)")
    diagnose.add_argument("--dtype", help="float32, float64, bfloat16 or float16; else as built")
    diagnose.add_argument("--device", default="cpu", help="cpu (default), cuda, cuda:0 or mps")
    diagnose.add_argument(
        "--repair",
        metavar="SCHEME",
        help="say also what `helpers.repair` would do with this scheme, such as lsuv or fitting",
    )
    survey = commands.add_parser("survey", help="diagnose torchvision's classifiers as they ship")
    survey.add_argument("names", nargs="*", metavar="name", help="which; all, if none is named")
    survey.add_argument("--out", metavar="FOLDER", help="where the result goes")
    options = parser.parse_args(arguments)
    try:
        if options.command == "diagnose":
            return _diagnose(options)
        if options.command == "survey":
            return _survey(options)
        if options.command == "list":
            if options.names:
                print(*experiments.EXPERIMENTS, sep="\n")
            else:
                _list()
        elif options.command == "check":
            return _check(options)
        elif options.command == "bench":
            from helpers import timing  # each benchmark imports what it measures

            timing.show(options)
        else:
            changes = {option: getattr(options, option) for option in experiments.OPTIONS}
            experiment = experiments.choose(options.name, **changes)
            from helpers import running  # torch: not for a list

            table = running.run(
                experiment,
                root=options.data,
                device=options.device,
                folder=options.out,
                progress=True,
            )
            if table is not None:
                print(f"{experiment.name}: {len(table)} rows")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from where it was saved last.", file=sys.stderr)
        return 130
    return 0


def _list() -> None:
    """Every experiment, and what its stored result took: summed, the cost of making them all."""
    total = 0.0
    print(f"{'name':<16} {'minutes':>8} {'MB':>6}  shows")
    for name, experiment in experiments.EXPERIMENTS.items():
        try:
            record = results.provenance(name)
            cost = f"{record['seconds'] / 60:8.1f} {record['peak_memory_mb']:6,}"
            total += record["seconds"]
        except (results.Refused, KeyError):
            cost = f"{'not made':>8} {'':6}"
        print(f"{name:<16} {cost}  {experiment.summary}")
    print(f"{'all':<16} {total / 60:8.1f}")


def _diagnose(options: argparse.Namespace) -> int:
    """Print what is found in a network; 1 if something is wrong."""
    import torch

    import helpers
    from helpers import devices, factories

    place = devices.as_device(options.device)
    network = factories.network(options.network, seed=options.seed, dtype=options.dtype).to(place)
    draw = torch.Generator().manual_seed(options.seed)
    batch = factories.batch(options.input, options.batch, generator=draw, like=network)
    try:
        report = helpers.diagnose(network, batch)
    except (RuntimeError, TypeError, LookupError) as error:
        raise ValueError(
            f"The network did not take inputs of shape {[tuple(b.shape) for b in batch]}: {error}. "
            "Give --input once for each of its arguments, sizes of one example each."
        ) from error
    print(report)
    if options.repair is not None:
        draw = torch.Generator(place).manual_seed(options.seed)
        print(f"\nAfter repair(model, batch, {options.repair!r}):")
        print(helpers.repair(network, batch, options.repair, generator=draw).summary)
        print(helpers.diagnose(network, batch).verdict)
    return 1 if report.faults else 0


def _survey(options: argparse.Namespace) -> int:
    """Print what is found in torchvision's classifiers; store it where a folder is given."""
    from helpers import survey

    for name in options.names:
        checks.known("classifier", name, survey.classifiers())
    table, layers, provenance = survey.survey(
        options.names or None, progress=lambda line: print(line, flush=True)
    )
    print(table.drop(columns="verdict").to_string(index=False))
    if options.out is not None:
        results.write("torchvision", table, provenance, options.out)
        results.write("torchvision-layers", layers, provenance, options.out)
    return 0


def _check(options: argparse.Namespace) -> int:
    """Check every result that was named; 1 if one no longer follows from the code."""
    chosen = [experiments.choose(name) for name in options.names or experiments.EXPERIMENTS]
    from helpers import checking

    passed = True
    for experiment in chosen:
        try:
            finding = checking.check(
                experiment, root=options.data, device=options.device, folder=options.out
            )
        except (ValueError, OSError) as error:  # missing, altered, or made of something else
            print(f"{experiment.name}: {error}", flush=True)
            passed = False
        else:
            print(finding, flush=True)
            passed &= finding.passed
    return 0 if passed else 1


def _count(text: str) -> int:
    try:
        return checks.count("the number", int(text))
    except ValueError:
        message = f"{text!r}; expected a whole number, 1 or above"
        raise argparse.ArgumentTypeError(message) from None


if __name__ == "__main__":
    sys.exit(main())
