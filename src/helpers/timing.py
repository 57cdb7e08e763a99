"""``python -m helpers bench``: every benchmark as lines on a screen, and stored where asked."""

import argparse
import sys

from helpers import results


def show(options: argparse.Namespace) -> None:
    """Run the benchmark ``options.what`` and print it; store it where ``options.out`` is a folder.

    ``options`` are those that the command line takes: ``what``, ``rounds``, ``pages``, ``limit``,
    ``device``, ``data`` and ``out``. Raises ValueError as the benchmarks do.
    """
    _SHOWN[options.what](options)


def _training(options: argparse.Namespace) -> None:
    from helpers import benchmarks, tables

    table, provenance = benchmarks.bench(
        device=options.device,
        root=options.data,
        rounds=options.rounds or 3,
        progress=lambda line: print(line, file=sys.stderr),
    )
    print(f"{provenance['device']}, {provenance['threads']} threads, {provenance['processor']}")
    print(f"matrix product, GFLOP/s: {provenance['matmul_peak_gflops']}")
    print(tables.significant(table, digits=3).to_string(index=False))
    figure = results.read("figure-1")
    last = figure[(figure.quantity == "test_accuracy") & (figure.scheme == "he")]
    last = last[last.epoch == last.epoch.max()].groupby("precision").value.agg(["min", "max"])
    print(f"test accuracy of He's start after 12 epochs, stored in figure-1:\n{last.to_string()}")
    _keep(options, f"benchmarks-{_kind(options)}", table, provenance)


def _normalization(options: argparse.Namespace) -> None:
    from helpers import costs, tables

    table, provenance = costs.normalization(device=options.device, rounds=options.rounds or 3)
    print(f"{provenance['device']}, {provenance['threads']} threads, {provenance['processor']}")
    print(tables.significant(table, digits=3).to_string(index=False))
    _keep(options, f"normalization-{_kind(options)}", table, provenance)


def _memory(options: argparse.Namespace) -> None:
    from helpers import footprint

    table, provenance = footprint.bench(
        footprint.notebooks(options.pages),
        limit=options.limit or 1024,
        progress=lambda line: print(line, file=sys.stderr),
    )
    limit = provenance["configuration"]["limit_mb"]
    print(f"torch {provenance['configuration']['torch']}, {provenance['processor']}")
    print(f"limit: {limit} MB" if limit else "no limit: a control group could not be made")
    print(table.to_string(index=False))
    _keep(options, "benchmarks-memory", table, provenance)


def _widgets(options: argparse.Namespace) -> None:
    from helpers import latency, tables

    table, provenance = latency.widgets(moves=options.rounds or 30)
    print(f"{provenance['processor']}, {provenance['threads']} threads, load {provenance['load']}")
    print(tables.significant(table, digits=3).to_string(index=False))
    print("memory, MB: {imports} after imports, {peak} at most".format(**provenance["memory_mb"]))
    _keep(options, "benchmarks-widgets", table, provenance)


def _pages(options: argparse.Namespace) -> None:
    from helpers import page_speed, tables

    table, provenance = page_speed.bench(
        root=results.FOLDER.parents[1],
        pages=options.pages,
        rounds=options.rounds or 5,
        progress=lambda line: print(line, file=sys.stderr),
    )
    print(f"{provenance['device']}, {provenance['processor']}, {provenance['seconds']:.0f} s")
    columns = table.pivot(
        index=["condition", "page", "book"], columns="quantity", values="median"
    ).dropna(axis=1, how="all")
    print(tables.significant(columns, digits=3).to_string())
    print("the heaviest page, KB by file:", provenance["heaviest"])
    print("asked for and not had:", provenance["unanswered"] or "nothing")
    print("beyond the aims:", *(page_speed.misses(table) or ["nothing"]), sep="\n  ")
    _keep(options, "benchmarks-pages", table, provenance)


def _kind(options: argparse.Namespace) -> str:
    return options.device.partition(":")[0]


def _keep(options: argparse.Namespace, name: str, table, provenance: dict) -> None:
    if options.out is not None:
        results.write(name, table, provenance, options.out)


_SHOWN = {
    "training": _training,
    "normalization": _normalization,
    "memory": _memory,
    "widgets": _widgets,
    "pages": _pages,
}
