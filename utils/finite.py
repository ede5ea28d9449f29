"""Numbers that are none: weights and scores that are infinite or NaN, said before anybody relies on them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from utils.errors import UserError


def is_finite(x: Tensor) -> bool:
    """Whether all numbers of a tensor are."""
    return not x.is_floating_point() or bool(x.isfinite().all())


def bad(state: Mapping[str, Tensor]) -> list[str]:
    """Names of entries that are not finite."""
    return [name for name, x in state.items() if not is_finite(x)]


def check(state: Mapping[str, Tensor], whose: str) -> None:
    """UserError that names the first entry of a state dict that is not finite."""
    if names := bad(state):
        others = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise UserError(
            f"{whose}: weights that are no finite numbers, {names[0]}{others}: its training went astray, or the file is "
            "damaged; take an earlier one"
        )
