"""Where in a file its weights lie: the mapping of names to tensors, under any keys, and the prefix that wrappers put
before every name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from network.weights.formats import below, clean

DEPTH = 3  # keys that lead to a state: {"checkpoint": {"model": {"state_dict": ...}}}
# Parts of a key that say that weights are averaged: model_ema, ema_state_dict, params_ema, swa, averaged_model.
_AVERAGED = re.compile(r"(^|[_.])(ema\w*|avg|averaged?|swa|shadow|teacher)([_.]|$)", re.IGNORECASE)
_ALIKE = 0.9  # share of the trained weights' entries that averaged ones have
_SOME = 0.1  # share from which on they are worth a line where they are left
_PREFIX_SHARE = 0.3  # of a state's entries, that a prefix may be taken off
_PARTS = ("backbone", "decoder", "encoder", "trunk")  # names of parts: they are no wrapper's


class Found(NamedTuple):
    """A state dict and the keys that lead to it. `fits`: its entries that a network has, all where none is known."""

    keys: tuple[str, ...]
    state: Mapping[str, Tensor]
    fits: int

    @property
    def averaged(self) -> bool:
        """Whether its keys say that it holds averaged weights."""
        return any(_AVERAGED.search(key) for key in self.keys)

    @property
    def name(self) -> str:
        """The keys, as people write them."""
        return ".".join(self.keys) or "the file itself"


def choose(content: Any, averaged: bool = True, known: Mapping[str, Tensor] | None = None) -> tuple[Found | None, str]:
    """The state of a file that a network with the entries `known` can use most of, or the largest; a note on others.

    `averaged`: weights whose key says so in place of the trained ones, where there are both.
    """
    found = [Found(keys, state, _fits(state, known)) for keys, state in _states(content, set())]
    if not any(place.fits for place in found):
        found = [place._replace(fits=len(place.state)) for place in found]
    raw = max((p for p in found if not p.averaged), key=_use, default=None)
    mean = max((p for p in found if p.averaged), key=_use, default=None)
    if raw is None or mean is None:
        return raw or mean, ""
    if mean.fits < _ALIKE * raw.fits or raw.fits < _ALIKE * mean.fits:
        taken, left = (raw, mean) if _use(raw) >= _use(mean) else (mean, raw)
        few = f"averaged weights ({left.name}) left: {left.fits} entries of use there, {taken.fits} in {taken.name}"
        return taken, few if left.averaged and left.fits >= _SOME * taken.fits else ""
    taken, left = (mean, raw) if averaged else (raw, mean)
    kinds = ("averaged", "trained") if averaged else ("trained", "averaged")
    return taken, f"the file has both: {kinds[0]} weights ({taken.name}) taken, {kinds[1]} ones ({left.name}) left"


def _use(place: Found) -> tuple[int, int]:
    """The more fits, the better; then, the less else."""
    return place.fits, -len(place.state)


def _states(
    content: Any, seen: set[tuple[int, int]], keys: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Mapping[str, Tensor]]]:
    """Every mapping that has tensors, below text alone: an optimizer's go by numbers. One that is there several times,
    as deep, counts once.
    """
    if not isinstance(content, Mapping) or (id(content), len(keys)) in seen:
        return
    seen.add((id(content), len(keys)))
    entries = {name: x for name, x in content.items() if isinstance(name, str)}
    state = {name: x for name, x in entries.items() if isinstance(x, Tensor)}
    if state:
        yield keys, state
    if len(keys) < DEPTH:
        for name, x in entries.items():
            yield from _states(x, seen, (*keys, name))


def _fits(state: Mapping[str, Tensor], known: Mapping[str, Tensor] | None) -> int:
    if known is None:
        return len(state)
    return max(_count(state, prefix, known) for prefix in ("", *prefixes(state)))


def _count(state: Mapping[str, Tensor], prefix: str, known: Mapping[str, Tensor]) -> int:
    """Entries below a prefix that a network has, of the same shape."""
    entries = below({clean(name): x for name, x in state.items()}, prefix)
    return sum(name in known and known[name].shape == x.shape for name, x in entries.items())


def prefixes(names: Collection[str], share: float = _PREFIX_SHARE) -> list[str]:
    """ "net.", "model.model.": what stands before at least this share of the names, the shortest first."""
    counts: Counter[str] = Counter()
    for name in map(clean, names):
        parts = name.split(".")[:-1][:DEPTH]
        counts.update(".".join(parts[:length]) + "." for length in range(1, len(parts) + 1))
    least = max(2, share * len(names))
    return [prefix for prefix in sorted(counts, key=len) if counts[prefix] >= least]


def unwrapped(state: Mapping[str, Tensor], known: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """The state without the prefix that keeps its names from those of a network, and a note on it; as it is if there is
    none. Averaged weights are preferred where a state has both, below prefixes of their own.
    """
    usable = [prefix for prefix in prefixes(state) if prefix.rstrip(".").rpartition(".")[2] not in _PARTS]
    fits = {prefix: _count(state, prefix, known) for prefix in ("", *usable)}
    most = max(fits.values())
    best = [prefix for prefix, count in fits.items() if count >= max(1, _ALIKE * most)]
    if not best or "" in best:
        return dict(state), ""
    prefix = next((prefix for prefix in best if _AVERAGED.search(prefix)), max(best, key=lambda p: fits[p]))
    inside = below(state, prefix)
    note = f"names without {prefix!r}"
    if averaged := _AVERAGED.search(prefix) and next((p for p in best if not _AVERAGED.search(p)), ""):
        return inside, f"{note}: averaged weights, in place of those below {averaged!r}"
    outside = {name: x for name, x in state.items() if not name.startswith(prefix) and name not in inside}
    return inside | outside, note


def located(content: Any, averaged: bool = True, known: Mapping[str, Tensor] | None = None) -> tuple[Any, str, str]:
    """A file's content with its state where layouts look for it: at the top, or under `state_dict`; the name of the
    place where it was, "" where it was there already; and a note on other states.
    """
    place, note = choose(content, averaged, known)
    if place is None or place.keys in ((), ("state_dict",)):
        return content, "", note
    rest = {name: x for name, x in content.items() if name not in (place.keys[0], "state_dict")}
    return {**rest, "state_dict": place.state}, place.name, note
