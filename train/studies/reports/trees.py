"""Lineages as tree sequences, which tskit reads, simplifies and draws.

A node is the genome of an agent, an edge its inheritance: of the whole genome, so that the sequence has length 1 and
one tree, with a root for each founder. Time is in ticks before the end.
Worlds are tskit's populations, so that ``ts.samples(population=3)`` are the living of world 3.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from nmmo_jax import __version__
from nmmo_jax.common.extras import need
from nmmo_jax.common.files import write as write_file
from train.studies.evolving import Evolve
from train.studies.lineage import ALIVE, Lineage
from train.studies.reports.tables import about, lineages
from train.studies.study import Results

_SCHEMA = {
    "codec": "struct",
    "type": "object",
    "properties": {name: {"type": "integer", "binaryFormat": "i"} for name in (
        "realm", "uid", "parent_uid", "genome_uid", "population", "birth_tick", "death_tick", "age")},
    "additionalProperties": False,
}  # fmt: skip


def write(study: Evolve, out: Path, results: Results) -> None:
    """selection.trees and drift.trees: all lives of a variant, those alive at the end as samples.

    Raises:
      ValueError: tskit is not installed.
    """
    made = about(study, out)
    for variant, table in lineages(study, results).items():
        found = tree_sequence(table, study.end - 1, study.amount.worlds, {**made, "variant": variant})
        write_file(out / f"{variant}.trees", lambda file, found=found: found.dump(file))


def tree_sequence(
    table: Lineage, end: int, realms: int, made: dict[str, Any] | None = None, simplify: bool = False
) -> Any:
    """A ``tskit.TreeSequence`` of lives; node k and individual k are row k of the table, unless it is simplified.

    Args:
      end: the last tick, at which time is 0.
      realms: worlds, also those in which nobody was born.
      made: what it was made with, ready for JSON.
      simplify: keep those alive at the end and the agents in which their lines meet.

    Raises:
      ValueError: tskit is not installed.
    """
    tskit = need("tskit", "tskit", "science")
    tables = tskit.TableCollection(sequence_length=1)
    tables.time_units = "ticks"
    tables.metadata_schema = tables.populations.metadata_schema = tskit.MetadataSchema.permissive_json()
    tables.metadata = {"nmmo-jax": made or {}}
    schema = tables.individuals.metadata_schema = tskit.MetadataSchema(_SCHEMA)
    for realm in range(realms):
        tables.populations.add_row({"name": f"world {realm}", "description": f"the world of index {realm}"})
    rows, alive = len(table.uid), table.death == ALIVE
    # Row of uid 0 of every realm: rows are ordered by realm and uid.
    first = np.searchsorted(table.realm, table.realm)
    names = ("realm", "birth_tick", "uid", "parent_uid", "genome_uid", "population", "death_tick", "age")
    lives = zip(*(column.tolist() for column in table), strict=True)
    told = [schema.encode_row(dict(zip(names, life, strict=True))) for life in lives]
    metadata, offset = tskit.pack_bytes(told)
    has_parent = table.parent_uid >= 0
    tables.individuals.set_columns(
        flags=np.zeros(rows, np.uint32),
        parents=(first + table.parent_uid)[has_parent].astype(np.int32),
        parents_offset=np.concatenate([[0], np.cumsum(has_parent)]).astype(np.uint64),
        metadata=metadata,
        metadata_offset=offset,
    )
    tables.nodes.set_columns(
        flags=np.where(alive, tskit.NODE_IS_SAMPLE, 0).astype(np.uint32),
        time=(end - table.tick).astype(np.float64),
        population=table.realm.astype(np.int32),
        individual=np.arange(rows, dtype=np.int32),
    )
    heirs = np.flatnonzero(table.genome_uid >= 0)
    tables.edges.set_columns(
        left=np.zeros(len(heirs)),
        right=np.ones(len(heirs)),
        parent=(first + table.genome_uid)[heirs].astype(np.int32),
        child=heirs.astype(np.int32),
    )
    tables.sort()
    software = {"name": "nmmo-jax", "version": __version__}
    record = {"schema_version": "1.0.0", "software": software, "parameters": made or {}, "environment": {}}
    tables.provenances.add_row(json.dumps(record))
    found = tables.tree_sequence()
    return found.simplify() if simplify else found
