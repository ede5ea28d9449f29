"""Weight files of any supported layout into a network, leniently, with a report of what was taken and what not."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from network.net import Net
from network.trunk import Colors, Trunk
from network.trunk.hrnet import SECOND_BRANCH
from network.weights import finite, inert, layouts, mismatch, own, places, plain, safe_load, sources, trunks
from network.weights.class_rows import ClassRows
from network.weights.formats import Weights
from network.weights.layouts import Layout
from network.weights.report import LoadReport, shortened
from utils.errors import UserError

__all__ = ["LoadReport", "Weights", "load", "load_trunk", "parse", "read_file", "take"]
__all__ += ["load_second_branch", "load_with_second_branch", "writers"]

Path = str | os.PathLike[str]
LEAST = 0.1  # share of a file's weights that has to fit
LEAST_OF_TRUNK = 0.5  # share of a trunk's weights that its file has to hold


def read_file(path: Path, ema: bool = True) -> Weights:
    """Weights of a file and what else it tells. `ema`: the averaged weights where our own checkpoint has some.

    Raises UserError for what is no checkpoint, or one without weights.
    """
    return parse(safe_load.read(path), path, ema)


def parse(content: Any, path: Path, ema: bool = True, known: Mapping[str, Tensor] | None = None) -> Weights:
    """The same of a file that is read already; `path` is for the message. `known`: the entries of the network that they
    are for, which tell its weights from others in the file.
    """
    try:
        weights = own.parse(content, ema) or _parse(content, ema, known)
    except UserError as error:
        raise UserError(f"checkpoint {path}: {error}") from None
    if weights is None or not weights.state:
        if name := inert.network_in(content):
            raise UserError(f"checkpoint {path}: {safe_load.whole_network(name)}")
        found = f"a {type(content).__name__}"
        if isinstance(content, Mapping):
            found = f"a dict with {shortened([str(key) for key in content]) or 'nothing in it'}"
        raise UserError(f"checkpoint {path}: no weights in it, but {found}; give a file that a training has saved")
    return weights


def _parse(content: Any, ema: bool, known: Mapping[str, Tensor] | None) -> Weights | None:
    """A file of any other system."""
    moved, place, note = places.located(content, ema, known)
    place = "" if place and "state_dict" in content else place
    weights = next(filter(None, (layout.parse(moved, place) for layout in (*layouts.known(), plain.LAYOUT))), None)
    names = sorted(inert.names_in(content))
    unread = f"left unread beside the weights: {shortened(names)}" if names else ""
    return weights and replace(weights, notes=tuple(line for line in (note, unread) if line))


def writers() -> dict[str, Layout]:
    """{name: layout} of those that can be written."""
    return {layout.name: layout for layout in (*layouts.known(), plain.LAYOUT) if layout.write}


def load(net: nn.Module, path: Path, ema: bool = True, rows: ClassRows | None = None) -> LoadReport:
    """Take over every entry of the file whose name and shape agree; the report says what does not, and why.

    `rows`: how what the file has for each class goes to other classes.

    Raises UserError, and leaves the network as it is, if less than a tenth of the file's weights fits, or if other
    stages exist twice there.
    """
    known = net.state_dict()
    weights = parse(safe_load.read(path), path, ema, known)
    state: Mapping[str, Tensor] = weights.state
    for layout in layouts.known():
        state = layout.fitting(state, known.keys())
    state, note = places.unwrapped(state, known)
    weights = replace(weights, state=state, notes=(*weights.notes, *([note] if note else [])))
    weights = rows.moved(weights, path) if rows else weights
    theirs, ours = trunks.branch_from(weights.state), trunks.branch_from(known)
    if theirs != ours and max(theirs, ours) < 5:
        raise UserError(f"checkpoint {path}: stages exist twice from {theirs} on: give MODEL.OFFSET_BRANCH {theirs}")
    return take(net, weights, path, _hint(net, weights.state))


def take(net: nn.Module, weights: Weights, path: Path, hint: str = "") -> LoadReport:
    """As `load`, of a file that is read already. `hint`: what to do where hardly anything fits."""
    return _load(net, weights.state, LoadReport(str(path), weights.source, "the network", weights), hint)


def load_trunk(net: nn.Module, given: Path, adapt: bool = False, normalized: Colors = mismatch.USUAL) -> LoadReport:
    """As `load`, into the network's trunk alone, from a file of ImageNet weights or of a network with such a trunk.

    `given`: a path, or what `sources.file` makes one of. `adapt`: a first convolution for images of other than three
    channels, see `trunks.for_colors`. `normalized`: the colors by which images come to the network.
    """
    path = sources.file(given)
    weights, trunk = read_file(path), _trunk(net)
    target = trunk.pretrained if isinstance(trunk, Trunk) else trunk
    state, names = trunks.best(weights.state, target)
    if adapt:
        state, line = trunks.for_colors(state, target)
        weights = replace(weights, notes=(*weights.notes, line or "no first convolution had to be adapted"))
    source = f"{weights.source}, {names}" if names else weights.source
    mismatch.refuse_another(path, trunk, state, LEAST_OF_TRUNK)
    report = _load(target, state, LoadReport(str(path), source, "the trunk", weights))
    if isinstance(trunk, Trunk):
        warnings = mismatch.lines(trunk, report, state, mismatch.told(os.fspath(given), path), normalized)
        report.weights = replace(weights, notes=(*weights.notes, *warnings))
    return report


def load_second_branch(net: nn.Module, path: Path) -> LoadReport:
    """As `load`, into the second of each of HRNet's stages that exist twice, from those of a file that exist once.

    Raises UserError for a network, or a file, without such stages.
    """
    weights, trunk = read_file(path), _trunk(net)
    ways = nn.ModuleDict({name: part for name, part in trunk.named_children() if name.endswith(SECOND_BRANCH)})
    state = trunks.second_branch(trunks.best(weights.state, trunk)[0], ways.state_dict().keys())
    if not state:
        lacking = "the file" if len(ways) else "the network"
        raise UserError(f"MODEL.OFFSET_PRETRAINED {path}: {lacking} has none of HRNet's stages that exist twice")
    return _load(ways, state, LoadReport(str(path), weights.source, "the stages that exist twice", weights))


def load_with_second_branch(net: nn.Module, first: LoadReport | str, file: str = "") -> str:
    """`load_second_branch` after the rest of a network is loaded, as `first` reports: from `file`, or else, where
    nothing of it was in that file, from the same one again. Gives the lines of both.
    """
    if not file and isinstance(first, LoadReport):
        lacking, had = (any(_is_second(name) for name in names) for names in (first.missing, first.matched))
        file = first.path if lacking and not had else ""
    return f"{first}\n{load_second_branch(net, file)}" if file else str(first)


def _is_second(name: str) -> bool:
    return name.partition(".")[0].endswith(SECOND_BRANCH)


def _trunk(net: nn.Module) -> nn.Module:
    return net.trunk_module if isinstance(net, Net) else net.get_submodule("backbone")


def _load(module: nn.Module, state: Mapping[str, Tensor], report: LoadReport, hint: str = "") -> LoadReport:
    """Compare, refuse what hardly fits, and copy the rest."""
    target = module.state_dict()
    for name, x in state.items():
        if name not in target:
            report.unexpected.append(name)
        elif x.shape != target[name].shape:
            report.skipped[name] = f"file {_shape(x)}, network {_shape(target[name])}"
        else:
            report.matched.append(name)
    # Batch counters are no weights; some systems' files and PyTorch's oldest have none.
    report.missing = [name for name in target if name not in state and not name.endswith("num_batches_tracked")]
    if report.share() < LEAST:
        raise UserError(_refusal(report, hint))
    finite.check({name: state[name] for name in report.matched}, f"checkpoint {report.path}")
    module.load_state_dict({name: state[name] for name in report.matched}, strict=False)
    return report


def _refusal(report: LoadReport, hint: str) -> str:
    total = len(report.matched) + len(report.skipped) + len(report.unexpected)
    if report.skipped:
        name, why = next(iter(report.skipped.items()))
        example = f"{name}: {why}"
    else:
        example = f"it has {shortened(report.unexpected)}"
    return (
        f"checkpoint {report.path} ({report.source}): {len(report.matched)} of its {total} entries fit {report.target} "
        f"({example}); {hint or 'check that --arch and the widths are those of the file'}"
    )


def _hint(net: nn.Module, state: Mapping[str, Tensor]) -> str:
    """Says so if the names are a bare trunk's."""
    start = f"{getattr(net, 'trunk_name', 'backbone')}."
    names = {name.removeprefix(start) for name in net.state_dict() if name.startswith(start)}
    fits = sum(name in names for name in state)
    return "it looks like a trunk alone: give it as MODEL.TRUNK_WEIGHTS" if fits > len(names) // 2 > 0 else ""


def _shape(x: Tensor) -> str:
    return "x".join(map(str, x.shape)) or "scalar"
