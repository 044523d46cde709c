"""One trained model of one symbol, with everything that belongs to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from mm_core.domain.factors import FactorTable, IcTable
from mm_core.domain.files import ModelFile
from mm_core.domain.findings import Finding, Severity
from mm_core.domain.versions import Version
from mm_core.spelling import code_points, drawn_as


@dataclass(frozen=True, slots=True)
class TrainingInfo:
    """What the training run said of itself; every part is optional.

    Window stamps are the integers of the file (epoch, unit as the researcher wrote it), dates ISO 8601 text,
    ``seconds`` the duration of training, ``feature_importance`` by factor name.
    """

    symbol: str | None = None
    return_name: str | None = None
    window_start_ts: int | None = None
    window_end_ts: int | None = None
    start_date: str | None = None
    end_date: str | None = None
    samples: int | None = None
    seconds: float | None = None
    original_factors_count: int | None = None
    ic_filtered_count: int | None = None
    final_factors_count: int | None = None
    selected_factors: tuple[str, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    feature_importance: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """What a served booster is: ``sha256`` and ``size_bytes`` of its JSON text, ``source`` the file it came from."""

    source: str
    sha256: str
    size_bytes: int
    feature_dim: int
    objective: str
    num_trees: int
    num_parallel_tree: int
    version: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """The files that share one group key, read: factors, IC, training info and the booster's summary.

    ``read_at`` is the UTC time of reading in ISO 8601, ``rules`` the version of the rules that it was read by;
    ``onnx_sha256`` names the stored bytes of ``_model.onnx``.
    """

    group_key: str
    symbol: str
    return_name: str
    files: tuple[ModelFile, ...]
    factors: FactorTable
    ic: IcTable
    training: TrainingInfo
    model: ModelSummary | None
    onnx_sha256: str | None
    findings: tuple[Finding, ...]
    read_at: str
    rules: int = 1

    @property
    def feature_dim(self) -> int:
        """The booster's number of features, the number of factors where there is no booster."""
        return self.model.feature_dim if self.model is not None else len(self.factors)

    @property
    def payload_ready(self) -> bool:
        """Whether bots can be given this model."""
        return self.model is not None


@dataclass(frozen=True, slots=True)
class ScanSummary:
    """How many groups and versions a scan found, and how many findings of each severity that there is."""

    groups: int
    findings: Mapping[Severity, int]
    versions: int = 0


@dataclass(frozen=True)
class Scan:
    """All that is below one root: groups in the order of their keys, versions in that of their paths, and its defects.

    ``latest`` has the path of the version that the link or file ``latest`` names, by the directory that it is in;
    the root itself is the empty text there.
    """

    scanned_at: str
    groups: Mapping[str, Group] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    versions: Mapping[str, Version] = field(default_factory=dict)
    latest: Mapping[str, str] = field(default_factory=dict)

    def all_findings(self) -> tuple[Finding, ...]:
        """Return the root's findings, those of its symbols and versions, then each group's and each version's."""
        each: Iterable[Group | Version] = (*self.groups.values(), *self.versions.values())
        return (
            self.findings
            + self.look_alikes
            + self.twins
            + tuple(finding for entry in each for finding in entry.findings)
        )

    def summary(self) -> ScanSummary:
        """Return the scan's figures."""
        counts = Counter(finding.severity for finding in self.all_findings())
        return ScanSummary(len(self.groups), counts, len(self.versions))

    def symbols(self) -> tuple[str, ...]:
        """Return each symbol once, in lexical order, spelled as its first group spells it."""
        return tuple(sorted(groups[0].symbol for groups in self._by_symbol.values()))

    def factor_union(self) -> tuple[str, ...]:
        """Return every factor of every group once, in first-seen order."""
        return tuple(dict.fromkeys(name for group in self.groups.values() for name in group.factors.names))

    def groups_of(self, symbol: str) -> tuple[Group, ...]:
        """Return the groups of ``symbol``, compared without case, in the order of their keys."""
        return tuple(self._by_symbol.get(symbol.casefold(), ()))

    def duplicate_symbols(self) -> dict[str, tuple[str, ...]]:
        """Return the symbols that have several groups, each with its group keys."""
        return {
            groups[0].symbol: tuple(group.group_key for group in groups)
            for groups in self._by_symbol.values()
            if len(groups) > 1
        }

    @cached_property
    def look_alikes(self) -> tuple[Finding, ...]:
        """A finding for each set of symbols that readers cannot tell apart."""
        drawn: dict[str, list[str]] = {}
        for symbol in self.symbols():
            drawn.setdefault(drawn_as(symbol), []).append(symbol)
        return tuple(_look_alike(symbols) for symbols in drawn.values() if len(symbols) > 1)

    @property
    def twins(self) -> tuple[Finding, ...]:
        """A finding for each version that has the name, or the model's bytes, of one that comes before it."""
        return tuple(finding for of_one in self.twins_by_path.values() for finding in of_one)

    @cached_property
    def twins_by_path(self) -> Mapping[str, tuple[Finding, ...]]:
        """`twins` by the path of the version that each is about."""
        named: dict[tuple[str, str], Version] = {}
        with_model: dict[str, Version] = {}
        found: dict[str, tuple[Finding, ...]] = {}
        for path, version in self.versions.items():
            of_one = []
            first = named.setdefault((version.model_name, version.name), version)
            if first is not version:
                of_one.append(_same_name(version, first))
            if version.model is not None:
                first = with_model.setdefault(version.model.sha256, version)
                if first is not version:
                    of_one.append(_same_model(version, first))
            if of_one:
                found[path] = tuple(of_one)
        return found

    @cached_property
    def _by_symbol(self) -> Mapping[str, list[Group]]:
        found: dict[str, list[Group]] = {}
        for group in self.groups.values():
            found.setdefault(group.symbol.casefold(), []).append(group)
        return found


def _look_alike(symbols: Sequence[str]) -> Finding:
    named = "; ".join(f"'{one}'" + (f" ({code_points(one)})" if not one.isascii() else "") for one in symbols)
    return Finding(
        Severity.WARNING,
        "look-alike-symbols",
        ".",
        f"Symbols of this model look alike and are not the same: {named}.",
        "Keep the one that bots ask for.",
    )


def _same_name(version: Version, first: Version) -> Finding:
    return Finding(
        Severity.ERROR,
        "duplicate-version",
        version.path,
        f"Version {version.name} of '{version.model_name or '.'}' is in '{first.path}' too: nobody can tell which is "
        "meant.",
        "Keep one of the two directories.",
    )


def _same_model(version: Version, first: Version) -> Finding:
    return Finding(
        Severity.WARNING,
        "duplicate-model-file",
        (version.model and version.model.source) or f"{version.path}/model.txt",
        f"'{first.path}' has the same model, byte for byte.",
        "Copy the model of this version's own training.",
    )


def preferred_group(groups: Iterable[Group]) -> Group:
    """Return the group that stands for a symbol: payload-ready first, then latest training end, then last key."""
    return max(groups, key=lambda group: (group.payload_ready, group.training.end_date or "", group.group_key))
