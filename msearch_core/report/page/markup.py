"""HTML that is safe by construction: text is escaped where it enters, and only what was built here is not."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


class Markup(str):
    """HTML that needs no escaping."""

    __slots__ = ()


def element(name: str, *children: object, **attributes: str | bool) -> Markup:
    """An element. Children that are not ``Markup`` are text.

    Args:
        name: of the element.
        children: in order; ``None`` is left out.
        attributes: an underscore in a name stands for a hyphen, and one at its end is dropped (``class_``); ``True``
            gives an attribute without a value, ``False`` none.
    """
    written = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{html.escape(str(value))}"')
        for key, value in attributes.items()
        if value is not False
    )
    return Markup(f"<{name}{written}>{joined(children)}</{name}>")


def joined(children: Iterable[object]) -> Markup:
    """Several children as one."""
    return Markup("".join(_child(each) for each in children if each is not None))


def table(head: Sequence[object], rows: Iterable[Sequence[object]], *, first_is_head: bool = False) -> Markup:
    """A table that scrolls sideways where the page is too narrow for it."""
    body = [
        element(
            "tr",
            *(
                element("th", cell, scope="row") if first_is_head and not place else element("td", cell)
                for place, cell in enumerate(row)
            ),
        )
        for row in rows
    ]
    heading = element("thead", element("tr", *(element("th", cell, scope="col") for cell in head)))
    return element("div", element("table", heading, element("tbody", *body)), class_="scroll", tabindex="0")


def breakable(text: str) -> Markup:
    """Text that may go on in a new line within a block's parameters."""
    return Markup(html.escape(text).replace(",", ",<wbr>").replace("(", "(<wbr>"))


def _child(child: object) -> str:
    return child if isinstance(child, Markup) else html.escape(str(child))
